#include <cassert>

#include "trainer/model/llama_pass.h"

namespace ftl {

bool LlamaPass::needs_gradient_below(std::size_t layer, Stage stage) const {
  return static_cast<std::int64_t>(layer) * stages + static_cast<std::int64_t>(stage) > lowest_stage_;
}

bool LlamaPass::is_trained(std::size_t layer, Stage stage) const {
  return static_cast<std::int64_t>(layer) * stages + static_cast<std::int64_t>(stage) >= lowest_stage_;
}

void LlamaPass::project_backward(std::size_t layer, Projection projection, const float* x, const float* dy, float* d_x,
                                 bool accumulate, std::int64_t rows, float* gradient) {
  const std::size_t i = static_cast<std::size_t>(projection);
  const LoraLinear layer_linear = linear(layer, projection);
  LoraLinearGradients wanted{.d_x = d_x, .accumulate_d_x = accumulate};
  if (adapter_ == nullptr) wanted.d_weight = weights_.gradient_of(layer_linear.weight.f32, gradient);
  if (const float* bias = weights_.layers[layer].bias[i]; adapter_ == nullptr && bias != nullptr) {
    float* const d_bias = weights_.gradient_of(bias, gradient);
    kernels_.bias_backward(stream_, {.dy = dy, .d_bias = d_bias, .rows = rows, .width = layer_linear.out});
  }
  if (layer_linear.adapted()) {
    const Adapter::Pair& pair = workspace_.pairs[layer * projections + i];
    wanted.d_a = gradient + pair.offset_a;
    wanted.d_b = gradient + pair.offset_b;
  }
  lora_backward(stream_, layer_linear, x, workspace_.layers[layer].low[i], dy, workspace_.backward.low, wanted, rows);
}

void LlamaPass::norm_backward(const NormGradient& of, float* gradient) {
  kernels_.rms_norm_backward(stream_,
                             {.x = of.x,
                              .gain = of.gain,
                              .inverse_rms = of.inverse_rms,
                              .dy = of.dy,
                              .dx = of.dx,
                              .d_gain = adapter_ == nullptr ? weights_.gradient_of(of.gain, gradient) : nullptr,
                              .rows = of.rows,
                              .width = of.width,
                              .accumulate = of.accumulate,
                              .gain_offset = static_cast<float>(config_.norm_offset)});
}

const float* LlamaPass::added_gradient(const float* output, const float* gain, const float* inverse_rms,
                                       std::int64_t rows, float* gradient) {
  const BackwardScratch& scratch = workspace_.backward;
  if (!config_.post_norms) return scratch.stream;
  norm_backward({output, gain, inverse_rms, scratch.stream, scratch.normed, rows, config_.width, false}, gradient);
  return scratch.normed;
}

void LlamaPass::head_backward(const float* hidden, std::int64_t rows, float* full_gradient) {
  const HeadScratch& head = workspace_.head;
  const std::int64_t width = config_.width, vocabulary = config_.vocabulary;
  const bool full = full_gradient != nullptr;
  if (full) {  // added: a tied head shares its gradient with the embedding, and chunks follow one another
    kernels_.matmul(stream_, {.a = head.logits,
                              .b = {.f32 = head.normed},
                              .c = weights_.gradient_of(weights_.head.f32, full_gradient),
                              .m = vocabulary,
                              .n = width,
                              .k = rows,
                              .lda = vocabulary,
                              .ldb = width,
                              .ldc = width,
                              .transpose_a = true,
                              .transpose_b = false,
                              .alpha = 1,
                              .beta = 1});
  }
  kernels_.matmul(stream_, {.a = head.logits,
                            .b = weights_.head,
                            .c = head.d_normed,
                            .m = rows,
                            .n = width,
                            .k = vocabulary,
                            .lda = vocabulary,
                            .ldb = width,
                            .ldc = width,
                            .transpose_a = false,
                            .transpose_b = false,
                            .alpha = 1,
                            .beta = 0});
  norm_backward({hidden, weights_.final_norm, head.rms, head.d_normed, head.d_hidden, rows, width, false},
                full_gradient);
}

void LlamaPass::backward(std::int64_t rows, float* gradient) {
  for (std::size_t layer = weights_.layers.size(); layer-- > 0;) {
    report(Direction::backward);
    if (!mlp_backward(layer, rows, gradient)) return;
    if (!attention_backward(layer, rows, gradient)) return;
  }
  assert(adapter_ == nullptr);  // an adapter's lowest stage ends the loop
  if (config_.embedding_scale != 1) {
    kernels_.scale(stream_, {.y = workspace_.backward.stream,
                             .count = rows * config_.width,
                             .scale = static_cast<float>(config_.embedding_scale)});
  }
  float* table = weights_.gradient_of(weights_.embedding.f32, gradient);
  kernels_.embedding_backward(stream_, {.ids = workspace_.ids,
                                        .dy = workspace_.backward.stream,
                                        .d_table = table,
                                        .rows = rows,
                                        .width = config_.width,
                                        .vocabulary = config_.vocabulary});
}

bool LlamaPass::mlp_backward(std::size_t layer, std::int64_t rows, float* gradient) {
  const LayerWeights& weights = weights_.layers[layer];
  const LayerActivations& kept = workspace_.layers[layer];
  const BackwardScratch& scratch = workspace_.backward;
  if (!is_trained(layer, Stage::mlp_output)) return false;
  const std::int64_t count = rows * config_.ffn_width;
  bool below = needs_gradient_below(layer, Stage::mlp_output);
  gate_forward(layer, rows);
  const float* const added =
      added_gradient(kept.mlp_output, weights.mlp_output_norm, kept.mlp_output_rms, rows, gradient);
  project_backward(layer, Projection::down, workspace_.activated, added, below ? scratch.activated : nullptr, false,
                   rows, gradient);
  if (!below) return false;

  float* const d_gate = workspace_.activated;
  const auto gated = config_.activation == Activation::silu ? kernels_.swiglu_backward : kernels_.geglu_backward;
  gated(stream_, {.gate = kept.gate,
                  .up = kept.up,
                  .dy = scratch.activated,
                  .d_gate = d_gate,
                  .d_up = scratch.up,
                  .count = count});
  norm(kept.middle, weights.mlp_norm, workspace_.normed, kept.mlp_rms, rows, config_.width);
  below = needs_gradient_below(layer, Stage::mlp_input);
  float* const d_normed = below ? scratch.normed : nullptr;
  project_backward(layer, Projection::gate, workspace_.normed, d_gate, d_normed, false, rows, gradient);
  project_backward(layer, Projection::up, workspace_.normed, scratch.up, d_normed, true, rows, gradient);
  if (below) {
    norm_backward(
        {kept.middle, weights.mlp_norm, kept.mlp_rms, scratch.normed, scratch.stream, rows, config_.width, true},
        gradient);
  }
  return below;
}

void LlamaPass::turn_backward(std::size_t layer, std::int64_t rows, float* gradient) {
  const LayerWeights& weights = weights_.layers[layer];
  const LayerActivations& kept = workspace_.layers[layer];
  float *const dq = workspace_.backward.q, *const dk = workspace_.backward.k;
  const std::int64_t q_rows = rows * config_.heads, k_rows = rows * config_.kv_heads, dim = config_.head_dim;
  rotate(layer, dq, config_.heads, rows, 0, true);
  rotate(layer, dk, config_.kv_heads, rows, 0, true);
  if (!config_.qk_norm) return;
  norm_backward({kept.q_projected, weights.q_norm, kept.q_rms, dq, dq, q_rows, dim, false}, gradient);
  norm_backward({kept.k_projected, weights.k_norm, kept.k_rms, dk, dk, k_rows, dim, false}, gradient);
}

bool LlamaPass::attention_backward(std::size_t layer, std::int64_t rows, float* gradient) {
  const LayerWeights& weights = weights_.layers[layer];
  const LayerActivations& kept = workspace_.layers[layer];
  const BackwardScratch& scratch = workspace_.backward;
  bool below = needs_gradient_below(layer, Stage::attention_output);
  const float* const added =
      added_gradient(kept.attention_output, weights.attention_output_norm, kept.attention_output_rms, rows, gradient);
  project_backward(layer, Projection::o, kept.attended, added, below ? scratch.attended : nullptr, false, rows,
                   gradient);
  if (!below) return false;

  kernels_.attention_backward(stream_, {.q = kept.q,
                                        .k = kept.k,
                                        .v = kept.v,
                                        .out = kept.attended,
                                        .log_sum_exp = kept.log_sum_exp,
                                        .d_out = scratch.attended,
                                        .dq = scratch.q,
                                        .dk = scratch.k,
                                        .dv = scratch.v,
                                        .scratch = scratch.attention,
                                        .rows = rows,
                                        .heads = config_.heads,
                                        .kv_heads = config_.kv_heads,
                                        .head_dim = config_.head_dim,
                                        .scale = static_cast<float>(config_.attention_scale()),
                                        .window = config_.window_of(layer),
                                        .soft_cap = static_cast<float>(config_.attention_soft_cap)});
  turn_backward(layer, rows, gradient);

  norm(kept.input, weights.attention_norm, workspace_.normed, kept.attention_rms, rows, config_.width);
  below = needs_gradient_below(layer, Stage::attention_input);
  float* const d_normed = below ? scratch.normed : nullptr;
  project_backward(layer, Projection::q, workspace_.normed, scratch.q, d_normed, false, rows, gradient);
  project_backward(layer, Projection::k, workspace_.normed, scratch.k, d_normed, true, rows, gradient);
  project_backward(layer, Projection::v, workspace_.normed, scratch.v, d_normed, true, rows, gradient);
  if (below) {
    norm_backward({kept.input, weights.attention_norm, kept.attention_rms, scratch.normed, scratch.stream, rows,
                   config_.width, true},
                  gradient);
  }
  return below;
}

}  // namespace ftl
