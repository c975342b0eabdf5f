#include "trainer/model/model_families.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace ftl {
namespace {

constexpr std::int64_t largest_window = std::int64_t{1} << 30, most_layers = 1 << 12;
constexpr double largest_scalar = 1e6;

// Defaults are those of the configuration classes of transformers.
constexpr ModelFamily families[] = {
    {.model_type = "llama", .max_positions = 2048, .biases = Biases::if_asked},
    {.model_type = "mistral", .kv_heads = 8, .max_positions = 131072, .sliding = SlidingLayers::all},
    {.model_type = "qwen2",
     .kv_heads = 32,
     .max_positions = 32768,
     .biases = Biases::query_key_value,
     .sliding = SlidingLayers::from_max_window_layers},
    {.model_type = "qwen3",
     .kv_heads = 32,
     .head_dim = 128,
     .max_positions = 32768,
     .biases = Biases::attention_if_asked,
     .sliding = SlidingLayers::from_max_window_layers,
     .qk_norm = true},
    {.model_type = "gemma2",
     .kv_heads = 4,
     .head_dim = 256,
     .max_positions = 8192,
     .tied_embeddings = true,
     .activation_key = "hidden_activation",
     .activation = Activation::gelu_tanh,
     .biases = Biases::attention_if_asked,
     .sliding = SlidingLayers::all_but_every_second,
     .gemma = true,
     .attention_soft_cap = 50,
     .logit_soft_cap = 30},
    {.model_type = "gemma3_text",
     .kv_heads = 4,
     .head_dim = 256,
     .max_positions = 131072,
     .rope = {.theta = 1e6, .local_theta = 1e4},
     .tied_embeddings = true,
     .activation_key = "hidden_activation",
     .activation = Activation::gelu_tanh,
     .biases = Biases::attention_if_asked,
     .sliding = SlidingLayers::all_but_last_of_a_pattern,
     .qk_norm = true,
     .gemma = true},
};

void read_biases(ConfigObject& top, Biases biases, ModelConfig& config) {
  config.qkv_bias = biases == Biases::query_key_value;
  if (biases == Biases::attention_if_asked || biases == Biases::if_asked)
    config.qkv_bias = config.output_bias = top.flag("attention_bias", false);
  if (biases == Biases::if_asked) config.mlp_bias = top.flag("mlp_bias", false);
}

void read_activation(ConfigObject& top, const ModelFamily& family, ModelConfig& config) {
  config.activation = family.activation;
  const std::string name = family.activation == Activation::silu ? "silu" : "gelu_pytorch_tanh";
  if (const std::string asked = top.text(family.activation_key, name); asked != name) {
    top.unsupported(fmt::format("\"{}\" is \"{}\", the {} family here has \"{}\" only", family.activation_key,
                                asked.substr(0, 60), family.model_type, name));
  }
}

// "layer_types": a list of "full_attention" and "sliding_attention", one a layer.
std::vector<bool> read_layer_types(ConfigObject& top, const nlohmann::json& types, std::int64_t layers) {
  if (!types.is_array() || types.size() != static_cast<std::size_t>(layers)) {
    top.invalid(fmt::format("\"layer_types\" must be a list of \"num_hidden_layers\" = {} entries, it {}", layers,
                            types.is_array() ? fmt::format("has {}", types.size()) : "is no list"));
    return {};
  }
  std::vector<bool> sliding;
  for (const nlohmann::json& type : types) {
    const std::string name = type.is_string() ? type.get<std::string>() : "";
    if (name != "full_attention" && name != "sliding_attention")
      top.unsupported(
          fmt::format("\"layer_types\" has \"{}\" as entry {}, this version has full_attention and sliding_attention",
                      name.substr(0, 60), sliding.size()));
    sliding.push_back(name == "sliding_attention");
  }
  return sliding;
}

std::vector<bool> sliding_by_rule(ConfigObject& top, SlidingLayers rule, std::int64_t layers) {
  const std::int64_t full_below =
      rule == SlidingLayers::from_max_window_layers ? top.whole("max_window_layers", largest_window, 28, 0) : 0;
  const std::int64_t pattern = rule == SlidingLayers::all_but_every_second ? 2
                               : rule == SlidingLayers::all_but_last_of_a_pattern
                                   ? top.whole("sliding_window_pattern", most_layers, 6)
                                   : 0;
  std::vector<bool> sliding;
  for (std::int64_t layer = 0; layer < layers; ++layer)
    sliding.push_back(pattern == 0 ? layer >= full_below : (layer + 1) % pattern != 0);
  return sliding;
}

void read_windows(ConfigObject& top, const ModelFamily& family, ModelConfig& config) {
  if (family.sliding == SlidingLayers::none || top.failure()) return;
  const bool qwen = family.sliding == SlidingLayers::from_max_window_layers;
  const bool off = top.is_null("sliding_window") || (qwen && !top.flag("use_sliding_window", false));
  if (!off) config.window = top.whole("sliding_window", largest_window, 4096);
  const nlohmann::json* types = family.sliding == SlidingLayers::all ? nullptr : top.find("layer_types");
  if (types != nullptr)
    config.sliding_layers = read_layer_types(top, *types, config.layers);
  else if (!off || family.gemma)
    config.sliding_layers = sliding_by_rule(top, family.sliding, config.layers);
  const bool any = std::ranges::find(config.sliding_layers, true) != config.sliding_layers.end();
  if (any && config.window == 0) top.invalid("some layers are sliding, but \"sliding_window\" is null or not in use");
  if (!any) config.window = 0, config.sliding_layers.clear();
}

void read_gemma(ConfigObject& top, const ModelFamily& family, ModelConfig& config) {
  config.norm_offset = 1;
  config.post_norms = true;
  config.embedding_scale = std::sqrt(static_cast<double>(config.width));
  config.query_scalar = top.real("query_pre_attn_scalar", 0, largest_scalar, 256);
  const auto cap = [&](const char* key, double absent) {
    return top.is_null(key) ? 0.0 : top.real(key, 0, largest_scalar, absent);
  };
  config.attention_soft_cap = cap("attn_logit_softcapping", family.attention_soft_cap);
  config.logit_soft_cap = cap("final_logit_softcapping", family.logit_soft_cap);
  if (top.flag("use_bidirectional_attention", false))
    top.unsupported("\"use_bidirectional_attention\" is true, attention here is causal");
}

}  // namespace

const ModelFamily* find_family(std::string_view model_type) {
  const auto* const found = std::ranges::find(families, model_type, &ModelFamily::model_type);
  return found == std::end(families) ? nullptr : found;
}

std::string family_names() {
  std::string names;
  for (const ModelFamily& family : families) names.append(names.empty() ? "" : ", ").append(family.model_type);
  return names;
}

void read_traits(ConfigObject& top, const ModelFamily& family, ModelConfig& config) {
  config.rms_norm_epsilon = top.real("rms_norm_eps", 0, 1, 1e-6);
  config.tied_embeddings = top.flag("tie_word_embeddings", family.tied_embeddings);
  config.qk_norm = family.qk_norm;
  read_activation(top, family, config);
  read_biases(top, family.biases, config);
  if (family.gemma) read_gemma(top, family, config);
  read_windows(top, family, config);
  read_rope(top, family.rope, config);
}

}  // namespace ftl
