#include "trainer/model/model_config.h"

#include <algorithm>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "trainer/model/config_object.h"
#include "trainer/model/meta_params.h"
#include "trainer/model/model_families.h"

namespace ftl {
namespace {

using nlohmann::json;

constexpr std::size_t largest_config = 4 << 20;
// Sane limits: far above any model that exists, far below what overflows a product of three of them.
constexpr std::int64_t largest_width = 1 << 20;
constexpr std::int64_t largest_vocabulary = 1 << 24;
constexpr std::int64_t largest_layers = 1 << 12;
constexpr std::int64_t largest_positions = std::int64_t{1} << 30;

const ModelFamily* family_of(ConfigObject& top, const std::string& model_type) {
  if (model_type.empty()) top.invalid("\"model_type\" is missing");
  const ModelFamily* family = find_family(model_type);
  if (family != nullptr) return family;
  const bool experts = std::ranges::any_of(
      std::initializer_list<const char*>{"num_local_experts", "num_experts", "n_routed_experts", "moe_num_experts"},
      [&](const char* key) { return top.find(key) != nullptr; });
  const char* kind = experts                              ? "a mixture of experts; "
                     : top.find("text_config") != nullptr ? "more than a text model; "
                                                          : "";
  top.unsupported(
      fmt::format("\"model_type\" is \"{}\", {}this version has {}", model_type.substr(0, 60), kind, family_names()));
  return nullptr;
}

void read_sizes(ConfigObject& top, const ModelFamily& family, ModelConfig& config) {
  config.vocabulary = top.whole("vocab_size", largest_vocabulary);
  config.width = top.whole("hidden_size", largest_width);
  config.ffn_width = top.whole("intermediate_size", largest_width);
  config.layers = top.whole("num_hidden_layers", largest_layers);
  config.heads = top.whole("num_attention_heads", largest_width);
  const bool one_each = family.kv_heads == 0 || top.is_null("num_key_value_heads");
  config.kv_heads = top.whole("num_key_value_heads", largest_width, one_each ? config.heads : family.kv_heads);
  const std::int64_t usual =
      family.head_dim != 0 ? family.head_dim : std::max<std::int64_t>(1, config.width / config.heads);
  config.head_dim = top.whole("head_dim", largest_width, usual);
  config.max_positions = top.whole("max_position_embeddings", largest_positions, family.max_positions);
  if (family.head_dim == 0 && top.find("head_dim") == nullptr && config.width % config.heads != 0) {
    top.invalid(fmt::format(
        "\"hidden_size\" is {}, which \"num_attention_heads\" = {} does not divide, and there is no \"head_dim\"",
        config.width, config.heads));
  }
}

void require_consistent(ConfigObject& top, const ModelConfig& config) {
  if (top.failure()) return;
  if (config.heads % config.kv_heads != 0) {
    top.invalid(fmt::format("\"num_attention_heads\" is {}, which \"num_key_value_heads\" = {} does not divide",
                            config.heads, config.kv_heads));
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
  const ModelFamily* family = family_of(top, config.family);
  if (family == nullptr) return *top.failure();
  if (top.find("quantization_config") != nullptr)
    top.unsupported("\"quantization_config\" is set, quantized weights are not in this version");
  read_sizes(top, *family, config);
  read_traits(top, *family, config);
  require_consistent(top, config);
  if (top.failure()) return *top.failure();
  return config;
}

Result<ModelConfig> read_model_config(Files& files, const std::string& model_directory) {
  if (is_meta_directory(files, model_directory)) return read_meta_params(files, model_directory);
  const std::string path = model_directory + "/config.json";
  const Result<std::string> text = files.read(path, largest_config);
  if (!text) return text.error();
  return parse_model_config(*text, path);
}

}  // namespace ftl
