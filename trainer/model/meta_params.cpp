#include "trainer/model/meta_params.h"

#include <cmath>
#include <optional>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace ftl {
namespace {

using nlohmann::json;

constexpr std::size_t largest_params = 1 << 20;
// The limits of config.json: far above any model that exists, far below what overflows a product of three of them.
constexpr std::int64_t largest_width = 1 << 20, largest_vocabulary = 1 << 24, largest_layers = 1 << 12;

class Params {
 public:
  Params(const json& object, const std::string& where) : object_(object), where_(where) {}

  const std::optional<Failure>& failure() const { return failure_; }
  void fail(FaultKind kind, std::string what) {
    if (!failure_) failure_ = Failure{kind, std::move(what), where_, ""};
  }
  void invalid(std::string what) { fail(FaultKind::model_config_invalid, std::move(what)); }

  std::int64_t whole(const char* key, std::int64_t most, std::optional<std::int64_t> absent = std::nullopt) {
    const json* value = find(key);
    if (value == nullptr) {
      if (!absent) invalid(fmt::format("\"{}\" is missing", key));
      return absent.value_or(1);
    }
    if (!value->is_number_integer() || value->get<double>() < 1 || value->get<double>() > static_cast<double>(most)) {
      invalid(fmt::format("\"{}\" is {}, must be a whole number of 1 to {}", key, shown(*value), most));
      return 1;
    }
    return value->get<std::int64_t>();
  }
  double real(const char* key, double most, double absent) {
    const json* value = find(key);
    if (value == nullptr) return absent;
    if (!value->is_number() || !(value->get<double>() > 0 && value->get<double>() <= most)) {
      invalid(fmt::format("\"{}\" is {}, must be a number above 0 and at most {}", key, shown(*value), most));
      return absent;
    }
    return value->get<double>();
  }
  bool flag(const char* key) {
    const json* value = find(key);
    if (value == nullptr) return false;
    if (!value->is_boolean()) invalid(fmt::format("\"{}\" is {}, must be true or false", key, shown(*value)));
    return value->is_boolean() && value->get<bool>();
  }
  bool is(const char* key, int number) const {
    const json* value = find(key);
    return value != nullptr && value->is_number_integer() && *value == number;
  }
  bool has(const char* key) const { return find(key) != nullptr; }

 private:
  const json* find(const char* key) const {
    const auto found = object_.find(key);
    return found == object_.end() || found->is_null() ? nullptr : &*found;
  }
  static std::string shown(const json& value) {
    if (value.is_structured()) return value.is_object() ? "an object" : "a list";  // it may be deeply nested
    return value.dump(-1, ' ', true, json::error_handler_t::replace).substr(0, 60);
  }

  const json& object_;
  const std::string& where_;
  std::optional<Failure> failure_;
};

// FeedForward: 2/3 of 4 x dim, times the multiplier, both rounded down, then up to a multiple of multiple_of.
std::int64_t ffn_width(Params& params, std::int64_t width) {
  const std::int64_t multiple = params.whole("multiple_of", largest_width, 256);
  auto hidden = static_cast<std::int64_t>(2 * (4 * width) / 3);
  if (params.has("ffn_dim_multiplier"))
    hidden = static_cast<std::int64_t>(params.real("ffn_dim_multiplier", 1024, 1) * static_cast<double>(hidden));
  const std::int64_t rounded = multiple * ((hidden + multiple - 1) / multiple);
  if (rounded < 1 || rounded > largest_width)
    params.invalid(fmt::format("the feed-forward width is {}, must be 1 to {}", rounded, largest_width));
  return rounded;
}

// params.json does not say how long a context the model was made for; the constants of its generation do (transformers,
// convert_llama_weights_to_hf.py): Llama 1 has an epsilon of 1e-6, Code Llama and Llama 3 a base of RoPE of their own.
// The number only bounds cutoff_len; a Llama 1 with Llama 2's epsilon passes for the latter.
std::int64_t positions_of(const ModelConfig& config) {
  if (config.rope.theta == 1e6) return 16384;
  if (config.rope.theta >= 5e5) return 8192;
  return config.rms_norm_epsilon <= 1e-6 ? 2048 : 4096;
}

void require_consistent(Params& params, const ModelConfig& config) {
  if (params.failure()) return;
  if (config.width % config.heads != 0)
    params.invalid(fmt::format("\"dim\" is {}, which \"n_heads\" = {} does not divide", config.width, config.heads));
  else if (config.heads % config.kv_heads != 0)
    params.invalid(
        fmt::format("\"n_heads\" is {}, which \"n_kv_heads\" = {} does not divide", config.heads, config.kv_heads));
  else if (config.head_dim % 2 != 0)
    params.invalid(fmt::format("the head dimension is {}, RoPE needs an even number", config.head_dim));
}

}  // namespace

Result<ModelConfig> parse_meta_params(const std::string& text, const std::string& name) {
  const json document = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!document.is_object()) {
    return Failure{FaultKind::model_config_invalid,
                   fmt::format("the file of {} bytes is not a JSON object", text.size()), name, ""};
  }
  Params params(document, name);
  ModelConfig config;
  config.family = "llama";
  config.width = params.whole("dim", largest_width);
  config.layers = params.whole("n_layers", largest_layers);
  config.heads = params.whole("n_heads", largest_width);
  config.kv_heads = params.whole("n_kv_heads", largest_width, config.heads);
  config.head_dim = config.width / config.heads;
  const bool open_vocabulary = params.is("vocab_size", -1) || !params.has("vocab_size");
  config.vocabulary = open_vocabulary ? 0 : params.whole("vocab_size", largest_vocabulary);
  config.ffn_width = ffn_width(params, config.width);
  config.rms_norm_epsilon = params.real("norm_eps", 1, 1e-5);
  config.rope.theta = params.real("rope_theta", 1e12, 10000);
  config.max_positions = positions_of(config);
  if (params.flag("use_scaled_rope")) {
    params.fail(FaultKind::model_family_unsupported,
                "\"use_scaled_rope\" is true (Llama 3.1 and later), this version has RoPE without scaling only");
  }
  for (const char* key : {"moe", "moe_args", "quantization_args", "vision_chunk_size"}) {
    if (params.has(key))
      params.fail(FaultKind::model_family_unsupported, fmt::format("\"{}\" is set, which no plain Llama has", key));
  }
  require_consistent(params, config);
  if (params.failure()) return *params.failure();
  return config;
}

Result<ModelConfig> read_meta_params(Files& files, const std::string& directory) {
  const std::string path = directory + "/params.json";
  const Result<std::string> text = files.read(path, largest_params);
  if (!text) return text.error();
  Result<ModelConfig> config = parse_meta_params(*text, path);
  if (!config || config->vocabulary != 0) return config;
  const Result<std::int64_t> rows = vocabulary_of_meta_checkpoint(files, directory, meta_shape(*config));
  if (!rows) return rows.error();
  if (*rows < 1 || *rows > largest_vocabulary) {
    return Failure{FaultKind::model_config_invalid,
                   fmt::format("the output layer has {} rows in all parts, must be 1 to {}", *rows, largest_vocabulary),
                   directory, ""};
  }
  config->vocabulary = *rows;
  return config;
}

MetaShape meta_shape(const ModelConfig& config) {
  return {config.vocabulary, config.width,    config.ffn_width, config.layers,
          config.heads,      config.kv_heads, config.head_dim};
}

Result<std::unique_ptr<CheckpointReader>> open_base_weights(Files& files, const std::string& model_directory,
                                                            const ModelConfig& config) {
  if (is_meta_directory(files, model_directory))
    return open_meta_checkpoint(files, model_directory, meta_shape(config));
  return open_safetensors(files, model_directory);
}

}  // namespace ftl
