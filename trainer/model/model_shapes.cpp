// What weights a model has: names and shapes from its traits.
#include <algorithm>
#include <cmath>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "trainer/model/model_config.h"

namespace ftl {

double ModelConfig::attention_scale() const {
  return 1 / std::sqrt(query_scalar > 0 ? query_scalar : static_cast<double>(head_dim));
}

bool ModelConfig::has_bias(std::size_t module) const {
  return module < 3 ? qkv_bias : module == 3 ? output_bias : mlp_bias;
}

NormNames norm_names(const ModelConfig& config) {
  if (!config.post_norms) return {"input_layernorm", nullptr, "post_attention_layernorm", nullptr};
  return {"input_layernorm", "post_attention_layernorm", "pre_feedforward_layernorm", "post_feedforward_layernorm"};
}

std::vector<WeightShape> weight_shapes(const ModelConfig& config) {
  std::vector<WeightShape> shapes = {{"model.embed_tokens.weight", {config.vocabulary, config.width}},
                                     {"model.norm.weight", {config.width}}};
  if (!config.tied_embeddings) shapes.push_back({"lm_head.weight", {config.vocabulary, config.width}});
  const NormNames norms = norm_names(config);
  for (std::int64_t layer = 0; layer < config.layers; ++layer) {
    for (const char* norm : {norms.before_attention, norms.after_attention, norms.before_mlp, norms.after_mlp}) {
      if (norm != nullptr) shapes.push_back({fmt::format("model.layers.{}.{}.weight", layer, norm), {config.width}});
    }
    for (const char* norm : {"q_norm", "k_norm"}) {
      if (config.qk_norm)
        shapes.push_back({fmt::format("model.layers.{}.self_attn.{}.weight", layer, norm), {config.head_dim}});
    }
  }
  const std::vector<LinearModule> modules = linear_modules(config);
  const std::size_t modules_a_layer = modules.size() / static_cast<std::size_t>(config.layers);
  for (std::size_t i = 0; i < modules.size(); ++i) {
    shapes.push_back({modules[i].name + ".weight", {modules[i].out, modules[i].in}});
    if (config.has_bias(i % modules_a_layer)) shapes.push_back({modules[i].name + ".bias", {modules[i].out}});
  }
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

namespace {

std::string text_of_rope(const RopeParameters& rope) {
  return fmt::format("{}:{}:{}:{}:{}:{}:{}:{}:{}:{}", static_cast<int>(rope.kind), rope.theta, rope.factor,
                     rope.original_positions, rope.low_frequency_factor, rope.high_frequency_factor, rope.beta_fast,
                     rope.beta_slow, rope.truncate, rope.magnitude);
}

}  // namespace

std::string text_of(const ModelConfig& config) {
  const ModelConfig& c = config;
  std::string text =
      fmt::format("{}|{}|{}|{}|{}|{}|{}|{}|{}|{}|{}|{}|{}|{}|{}|{}|{}|{}|{}|{}|{}|{}|{}|{}|", c.family, c.vocabulary,
                  c.width, c.ffn_width, c.layers, c.heads, c.kv_heads, c.head_dim, text_of_rope(c.rope),
                  c.rms_norm_epsilon, c.tied_embeddings, static_cast<int>(c.activation), c.qkv_bias, c.output_bias,
                  c.mlp_bias, c.qk_norm, c.post_norms, c.norm_offset, c.embedding_scale, c.query_scalar,
                  c.attention_soft_cap, c.logit_soft_cap, c.window, text_of_rope(c.sliding_rope));
  for (const bool sliding : c.sliding_layers) text += sliding ? 's' : 'f';
  return text;
}

}  // namespace ftl
