#include <cassert>

#include "trainer/model/llama_pass.h"

namespace ftl {
namespace {

std::size_t at(Projection projection) { return static_cast<std::size_t>(projection); }

// Which stage of its layer a projection belongs to: q, k, v | o | gate, up | down.
constexpr std::int64_t stage_of[projections] = {0, 0, 0, 1, 2, 2, 3};

}  // namespace

LlamaPass::LlamaPass(Stream& stream, const LlamaWeights& weights, Workspace& workspace, const Adapter* adapter,
                     const PassProgress* progress)
    : stream_(stream),
      kernels_(stream.device().kernels()),
      weights_(weights),
      config_(weights.config),
      workspace_(workspace),
      adapter_(adapter),
      progress_(progress) {
  for (std::size_t i = 0; i < weights.modules.size(); ++i) {
    workspace.pairs[i] = adapter == nullptr ? Adapter::Pair{} : adapter->pair(weights.modules[i].name);
    if (workspace.pairs[i].a == nullptr) continue;
    const auto stage = static_cast<std::int64_t>(i / projections) * stages + stage_of[i % projections];
    if (lowest_stage_ < 0 || stage < lowest_stage_) lowest_stage_ = stage;
  }
}

LoraLinear LlamaPass::linear(std::size_t layer, Projection projection) const {
  const std::size_t index = layer * projections + at(projection);
  const LinearModule& module = weights_.modules[index];
  LoraLinear linear{.weight = weights_.layers[layer].linear[at(projection)], .in = module.in, .out = module.out};
  const Adapter::Pair& pair = workspace_.pairs[index];
  if (pair.a == nullptr) return linear;
  linear.a = pair.a;
  linear.b = pair.b;
  linear.rank = adapter_->shape().options.rank;
  linear.scaling = static_cast<float>(adapter_->shape().scaling());
  return linear;
}

void LlamaPass::project(std::size_t layer, Projection projection, const float* x, float* y, std::int64_t rows) {
  const LoraLinear of = linear(layer, projection);
  lora_forward(stream_, of, x, y, workspace_.layers[layer].low[at(projection)], rows);
  if (const float* bias = weights_.layers[layer].bias[at(projection)]; bias != nullptr)
    kernels_.bias_forward(stream_, {.bias = bias, .y = y, .rows = rows, .width = of.out});
}

void LlamaPass::norm(const float* x, const float* gain, float* y, float* inverse_rms, std::int64_t rows,
                     std::int64_t width) {
  kernels_.rms_norm_forward(stream_, {.x = x,
                                      .gain = gain,
                                      .y = y,
                                      .inverse_rms = inverse_rms,
                                      .rows = rows,
                                      .width = width,
                                      .epsilon = static_cast<float>(config_.rms_norm_epsilon),
                                      .gain_offset = static_cast<float>(config_.norm_offset)});
}

void LlamaPass::forward(std::int64_t rows, std::int64_t first_position) {
  float* const embedded = workspace_.layers[0].input;
  kernels_.embedding_forward(
      stream_,
      {.ids = workspace_.ids, .table = weights_.embedding, .y = embedded, .rows = rows, .width = config_.width});
  if (config_.embedding_scale != 1) {
    const auto scale = static_cast<float>(config_.embedding_scale);
    kernels_.scale(stream_, {.y = embedded, .count = rows * config_.width, .scale = scale});
  }
  const std::size_t layers = workspace_.layers.size();
  for (std::size_t layer = 0; layer < layers; ++layer) {
    report(Direction::forward);
    layer_forward(layer, layer + 1 < layers ? workspace_.layers[layer + 1].input : workspace_.output, rows,
                  first_position);
  }
}

void LlamaPass::layer_forward(std::size_t layer, float* output, std::int64_t rows, std::int64_t first_position) {
  attention_forward(layer, rows, first_position);
  mlp_forward(layer, output, rows);
}

void LlamaPass::rotate(std::size_t layer, float* x, std::int64_t heads, std::int64_t rows, std::int64_t first_position,
                       bool backward) {
  const Rotations& table = config_.is_sliding(layer) ? workspace_.sliding_rotations : workspace_.rotations;
  kernels_.rope(stream_, {.x = x,
                          .cosine = table.cosine,
                          .sine = table.sine,
                          .rows = rows,
                          .heads = heads,
                          .head_dim = config_.head_dim,
                          .first_position = first_position,
                          .backward = backward});
}

void LlamaPass::turn_forward(std::size_t layer, float* k, std::int64_t rows, std::int64_t first_position) {
  const LayerWeights& weights = weights_.layers[layer];
  const LayerActivations& kept = workspace_.layers[layer];
  if (config_.qk_norm) {
    norm(kept.q_projected, weights.q_norm, kept.q, kept.q_rms, rows * config_.heads, config_.head_dim);
    norm(kept.k_projected, weights.k_norm, k, kept.k_rms, rows * config_.kv_heads, config_.head_dim);
  }
  rotate(layer, kept.q, config_.heads, rows, first_position, false);
  rotate(layer, k, config_.kv_heads, rows, first_position, false);
}

void LlamaPass::attention_forward(std::size_t layer, std::int64_t rows, std::int64_t first_position) {
  const LayerWeights& weights = weights_.layers[layer];
  const LayerActivations& kept = workspace_.layers[layer];
  float* const k = kept.k + first_position * config_.kv_width();
  float* const v = kept.v + first_position * config_.kv_width();
  norm(kept.input, weights.attention_norm, workspace_.normed, kept.attention_rms, rows, config_.width);
  project(layer, Projection::q, workspace_.normed, config_.qk_norm ? kept.q_projected : kept.q, rows);
  project(layer, Projection::k, workspace_.normed, config_.qk_norm ? kept.k_projected : k, rows);
  project(layer, Projection::v, workspace_.normed, v, rows);
  turn_forward(layer, k, rows, first_position);
  kernels_.attention_forward(stream_, {.q = kept.q,
                                       .k = kept.k,
                                       .v = kept.v,
                                       .out = kept.attended,
                                       .log_sum_exp = kept.log_sum_exp,
                                       .rows = rows,
                                       .kv_rows = first_position + rows,
                                       .heads = config_.heads,
                                       .kv_heads = config_.kv_heads,
                                       .head_dim = config_.head_dim,
                                       .first_position = first_position,
                                       .scale = static_cast<float>(config_.attention_scale()),
                                       .window = config_.window_of(layer),
                                       .soft_cap = static_cast<float>(config_.attention_soft_cap)});
  float* const added = config_.post_norms ? kept.attention_output : kept.middle;
  project(layer, Projection::o, kept.attended, added, rows);
  if (config_.post_norms)
    norm(added, weights.attention_output_norm, kept.middle, kept.attention_output_rms, rows, config_.width);
  kernels_.add(stream_, {.x = kept.input, .y = kept.middle, .count = rows * config_.width, .scale = 1});
}

void LlamaPass::gate_forward(std::size_t layer, std::int64_t rows) {
  const LayerActivations& kept = workspace_.layers[layer];
  const auto gated = config_.activation == Activation::silu ? kernels_.swiglu_forward : kernels_.geglu_forward;
  gated(stream_, {.gate = kept.gate, .up = kept.up, .y = workspace_.activated, .count = rows * config_.ffn_width});
}

void LlamaPass::mlp_forward(std::size_t layer, float* output, std::int64_t rows) {
  const LayerWeights& weights = weights_.layers[layer];
  const LayerActivations& kept = workspace_.layers[layer];
  norm(kept.middle, weights.mlp_norm, workspace_.normed, kept.mlp_rms, rows, config_.width);
  project(layer, Projection::gate, workspace_.normed, kept.gate, rows);
  project(layer, Projection::up, workspace_.normed, kept.up, rows);
  gate_forward(layer, rows);
  float* const added = config_.post_norms ? kept.mlp_output : output;
  project(layer, Projection::down, workspace_.activated, added, rows);
  if (config_.post_norms) norm(added, weights.mlp_output_norm, output, kept.mlp_output_rms, rows, config_.width);
  kernels_.add(stream_, {.x = kept.middle, .y = output, .count = rows * config_.width, .scale = 1});
}

void LlamaPass::head_forward(const float* hidden, std::int64_t rows) {
  assert(rows <= head_chunk_rows);
  const HeadScratch& head = workspace_.head;
  norm(hidden, weights_.final_norm, head.normed, head.rms, rows, config_.width);
  kernels_.matmul(stream_, {.a = head.normed,
                            .b = weights_.head,
                            .c = head.logits,
                            .m = rows,
                            .n = config_.vocabulary,
                            .k = config_.width,
                            .lda = config_.width,
                            .ldb = config_.width,
                            .ldc = config_.vocabulary,
                            .transpose_a = false,
                            .transpose_b = true,
                            .alpha = 1,
                            .beta = 0});
}

void LlamaPass::cap_logits(std::int64_t rows) {
  if (config_.logit_soft_cap == 0) return;
  kernels_.soft_cap(stream_, {.y = workspace_.head.logits,
                              .count = rows * config_.vocabulary,
                              .soft_cap = static_cast<float>(config_.logit_soft_cap)});
}

}  // namespace ftl
