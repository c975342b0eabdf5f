#include "trainer/model/model_config.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace ftl {
namespace {

using nlohmann::json;

constexpr std::size_t largest_config = 4 << 20;
// Sane limits: far above any model that exists, far below what overflows a product of three of them.
constexpr std::int64_t largest_width = 1 << 20;
constexpr std::int64_t largest_vocabulary = 1 << 24;
constexpr std::int64_t largest_layers = 1 << 12;
constexpr std::int64_t largest_positions = std::int64_t{1} << 30;

// Reads keys of one JSON object and remembers the first thing that was wrong.
class ConfigObject {
 public:
  ConfigObject(const json& object, std::string where) : object_(object), where_(std::move(where)) {}

  const std::optional<Failure>& failure() const { return failure_; }
  const json* find(const char* key) const {
    const auto found = object_.find(key);
    return found == object_.end() || found->is_null() ? nullptr : &*found;
  }

  std::int64_t whole(const char* key, std::int64_t most, std::optional<std::int64_t> absent = std::nullopt) {
    const json* value = find(key);
    if (value == nullptr && absent) return *absent;
    if (value == nullptr) return invalid(fmt::format("\"{}\" is missing", key));
    if (!value->is_number_integer())
      return invalid(fmt::format("\"{}\" is {}, must be a whole number", key, shown(*value)));
    const bool too_large =
        value->is_number_unsigned() && value->get<std::uint64_t>() > static_cast<std::uint64_t>(most);
    if (too_large || value->get<std::int64_t>() < 1)
      return invalid(fmt::format("\"{}\" is {}, must be 1 to {}", key, shown(*value), most));
    return value->get<std::int64_t>();
  }

  double real(const char* key, double above, double most, double absent) {
    const json* value = find(key);
    if (value == nullptr) return absent;
    if (!value->is_number()) {
      invalid(fmt::format("\"{}\" is {}, must be a number", key, shown(*value)));
      return absent;
    }
    const double number = value->get<double>();
    if (!(number > above && number <= most))
      invalid(fmt::format("\"{}\" is {}, must be above {} and at most {}", key, shown(*value), above, most));
    return number;
  }

  bool flag(const char* key, bool absent) {
    const json* value = find(key);
    if (value == nullptr) return absent;
    if (!value->is_boolean()) {
      invalid(fmt::format("\"{}\" is {}, must be true or false", key, shown(*value)));
      return absent;
    }
    return value->get<bool>();
  }

  std::string text(const char* key, const std::string& absent) {
    const json* value = find(key);
    if (value == nullptr) return absent;
    if (!value->is_string()) {
      invalid(fmt::format("\"{}\" is {}, must be a string", key, shown(*value)));
      return absent;
    }
    return value->get<std::string>();
  }

  std::int64_t invalid(std::string what) {
    fail(FaultKind::model_config_invalid, std::move(what));
    return 1;
  }
  void unsupported(std::string what) { fail(FaultKind::model_family_unsupported, std::move(what)); }

 private:
  static std::string shown(const json& value) {
    if (value.is_structured())
      return value.is_object() ? "an object" : "a list";  // never printed: it may be deeply nested
    return value.dump(-1, ' ', true, json::error_handler_t::replace).substr(0, 60);
  }
  void fail(FaultKind kind, std::string what) {
    if (!failure_) failure_ = Failure{kind, std::move(what), where_, ""};
  }

  const json& object_;
  std::string where_;
  std::optional<Failure> failure_;
};

// transformers 4 keeps rope_theta at the top and scaling in rope_scaling; transformers 5 keeps both in rope_parameters.
double read_rope(ConfigObject& top, const std::string& where) {
  const json* nested = top.find("rope_parameters");
  const json* scaling = nested != nullptr ? nested : top.find("rope_scaling");
  const char* key = nested != nullptr ? "rope_parameters" : "rope_scaling";
  const double outer = top.real("rope_theta", 0, 1e12, 10000);
  if (scaling == nullptr) return outer;
  if (!scaling->is_object()) {
    top.invalid(fmt::format("\"{}\" is not an object", key));
    return outer;
  }
  ConfigObject inner(*scaling, where);
  const std::string type = inner.text("rope_type", inner.text("type", "default"));
  const double theta = inner.real("rope_theta", 0, 1e12, outer);
  if (inner.failure()) {
    top.invalid(fmt::format("in \"{}\": {}", key, inner.failure()->what));
  } else if (type != "default") {
    top.unsupported(
        fmt::format("\"{}\" asks for RoPE scaling of type \"{}\", this version has \"default\" only", key, type));
  }
  return theta;
}

void require_plain_llama(ConfigObject& top) {
  const std::string activation = top.text("hidden_act", "silu");
  if (activation != "silu")
    top.unsupported(fmt::format("\"hidden_act\" is \"{}\", the llama family here has \"silu\" only", activation));
  for (const char* key : {"attention_bias", "mlp_bias"}) {
    if (top.flag(key, false))
      top.unsupported(fmt::format("\"{}\" is true, linear layers with a bias are not in this version", key));
  }
  if (top.find("quantization_config") != nullptr)
    top.unsupported("\"quantization_config\" is set, quantized weights are not in this version");
}

void require_consistent(ConfigObject& top, const ModelConfig& config) {
  if (top.failure()) return;
  if (config.heads % config.kv_heads != 0) {
    top.invalid(fmt::format("\"num_attention_heads\" is {}, which \"num_key_value_heads\" = {} does not divide",
                            config.heads, config.kv_heads));
  }
  if (top.find("head_dim") == nullptr && config.width % config.heads != 0) {
    top.invalid(fmt::format(
        "\"hidden_size\" is {}, which \"num_attention_heads\" = {} does not divide, and there is no \"head_dim\"",
        config.width, config.heads));
  }
  if (config.head_dim % 2 != 0)
    top.invalid(fmt::format("the head dimension is {}, RoPE needs an even number", config.head_dim));
  if (config.query_width() > largest_width) {
    top.invalid(fmt::format("heads x head_dim is {}, must be at most {}", config.query_width(), largest_width));
  }
}

}  // namespace

Result<ModelConfig> parse_model_config(const std::string& text, const std::string& name) {
  const json document = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (document.is_discarded())
    return Failure{FaultKind::model_config_invalid, fmt::format("the file is not valid JSON ({} bytes)", text.size()),
                   name, ""};
  if (!document.is_object())
    return Failure{FaultKind::model_config_invalid, "the file is JSON, but not an object", name, ""};
  ConfigObject top(document, name);
  ModelConfig config;
  config.family = top.text("model_type", "");
  if (config.family.empty()) top.invalid("\"model_type\" is missing");
  if (config.family != "llama")
    top.unsupported(
        fmt::format("\"model_type\" is \"{}\", this version has \"llama\" only", config.family.substr(0, 60)));
  require_plain_llama(top);
  config.vocabulary = top.whole("vocab_size", largest_vocabulary);
  config.width = top.whole("hidden_size", largest_width);
  config.ffn_width = top.whole("intermediate_size", largest_width);
  config.layers = top.whole("num_hidden_layers", largest_layers);
  config.heads = top.whole("num_attention_heads", largest_width);
  config.kv_heads = top.whole("num_key_value_heads", largest_width, config.heads);
  config.head_dim = top.whole("head_dim", largest_width, std::max<std::int64_t>(1, config.width / config.heads));
  config.max_positions = top.whole("max_position_embeddings", largest_positions, 2048);
  config.rms_norm_epsilon = top.real("rms_norm_eps", 0, 1, 1e-6);
  config.tied_embeddings = top.flag("tie_word_embeddings", false);
  config.rope_theta = read_rope(top, name);
  require_consistent(top, config);
  if (top.failure()) return *top.failure();
  return config;
}

Result<ModelConfig> read_model_config(Files& files, const std::string& model_directory) {
  const std::string path = model_directory + "/config.json";
  const Result<std::string> text = files.read(path, largest_config);
  if (!text) return text.error();
  return parse_model_config(*text, path);
}

std::vector<WeightShape> weight_shapes(const ModelConfig& config) {
  std::vector<WeightShape> shapes = {{"model.embed_tokens.weight", {config.vocabulary, config.width}},
                                     {"model.norm.weight", {config.width}}};
  if (!config.tied_embeddings) shapes.push_back({"lm_head.weight", {config.vocabulary, config.width}});
  for (std::int64_t layer = 0; layer < config.layers; ++layer) {
    for (const char* norm : {"input_layernorm", "post_attention_layernorm"}) {
      shapes.push_back({fmt::format("model.layers.{}.{}.weight", layer, norm), {config.width}});
    }
  }
  for (const LinearModule& module : linear_modules(config))
    shapes.push_back({module.name + ".weight", {module.out, module.in}});
  std::sort(shapes.begin(), shapes.end(),
            [](const WeightShape& one, const WeightShape& other) { return one.name < other.name; });
  return shapes;
}

std::vector<LinearModule> linear_modules(const ModelConfig& config) {
  std::vector<LinearModule> modules;
  for (std::int64_t layer = 0; layer < config.layers; ++layer) {
    const std::string at = fmt::format("model.layers.{}.", layer);
    modules.push_back({at + "self_attn.q_proj", config.width, config.query_width()});
    modules.push_back({at + "self_attn.k_proj", config.width, config.kv_width()});
    modules.push_back({at + "self_attn.v_proj", config.width, config.kv_width()});
    modules.push_back({at + "self_attn.o_proj", config.query_width(), config.width});
    modules.push_back({at + "mlp.gate_proj", config.width, config.ffn_width});
    modules.push_back({at + "mlp.up_proj", config.width, config.ffn_width});
    modules.push_back({at + "mlp.down_proj", config.ffn_width, config.width});
  }
  return modules;
}

std::int64_t weight_count(const ModelConfig& config) {
  std::int64_t count = 0;
  for (const WeightShape& weight : weight_shapes(config)) {
    std::int64_t product = 1;
    for (const std::int64_t extent : weight.shape) product *= extent;
    count += product;
  }
  return count;
}

}  // namespace ftl
