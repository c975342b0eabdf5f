#include <cassert>
#include <cmath>

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
  lora_forward(stream_, linear(layer, projection), x, y, workspace_.layers[layer].low[at(projection)], rows);
}

void LlamaPass::norm(const float* x, const float* gain, float* y, float* inverse_rms, std::int64_t rows) {
  kernels_.rms_norm_forward(stream_, {.x = x,
                                      .gain = gain,
                                      .y = y,
                                      .inverse_rms = inverse_rms,
                                      .rows = rows,
                                      .width = config_.width,
                                      .epsilon = static_cast<float>(config_.rms_norm_epsilon)});
}

void LlamaPass::forward(std::int64_t rows, std::int64_t first_position) {
  kernels_.embedding_forward(stream_, {.ids = workspace_.ids,
                                       .table = weights_.embedding,
                                       .y = workspace_.layers[0].input,
                                       .rows = rows,
                                       .width = config_.width});
  const std::size_t layers = workspace_.layers.size();
  for (std::size_t layer = 0; layer < layers; ++layer) {
    report(Direction::forward);
    layer_forward(layer, layer + 1 < layers ? workspace_.layers[layer + 1].input : workspace_.output, rows,
                  first_position);
  }
}

void LlamaPass::layer_forward(std::size_t layer, float* output, std::int64_t rows, std::int64_t first_position) {
  const LayerWeights& weights = weights_.layers[layer];
  const LayerActivations& kept = workspace_.layers[layer];
  const std::int64_t width = config_.width, heads = config_.heads, kv_heads = config_.kv_heads,
                     head_dim = config_.head_dim;
  float* const k = kept.k + first_position * config_.kv_width();
  float* const v = kept.v + first_position * config_.kv_width();

  norm(kept.input, weights.attention_norm, workspace_.normed, kept.attention_rms, rows);
  project(layer, Projection::q, workspace_.normed, kept.q, rows);
  project(layer, Projection::k, workspace_.normed, k, rows);
  project(layer, Projection::v, workspace_.normed, v, rows);
  Rope rope{.x = kept.q,
            .cosine = workspace_.cosine,
            .sine = workspace_.sine,
            .rows = rows,
            .heads = heads,
            .head_dim = head_dim,
            .first_position = first_position,
            .backward = false};
  kernels_.rope(stream_, rope);
  rope.x = k;
  rope.heads = kv_heads;
  kernels_.rope(stream_, rope);
  kernels_.attention_forward(stream_, {.q = kept.q,
                                       .k = kept.k,
                                       .v = kept.v,
                                       .out = kept.attended,
                                       .log_sum_exp = kept.log_sum_exp,
                                       .rows = rows,
                                       .kv_rows = first_position + rows,
                                       .heads = heads,
                                       .kv_heads = kv_heads,
                                       .head_dim = head_dim,
                                       .first_position = first_position,
                                       .scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(head_dim)))});
  project(layer, Projection::o, kept.attended, kept.middle, rows);
  kernels_.add(stream_, {.x = kept.input, .y = kept.middle, .count = rows * width, .scale = 1});

  norm(kept.middle, weights.mlp_norm, workspace_.normed, kept.mlp_rms, rows);
  project(layer, Projection::gate, workspace_.normed, kept.gate, rows);
  project(layer, Projection::up, workspace_.normed, kept.up, rows);
  kernels_.swiglu_forward(
      stream_, {.gate = kept.gate, .up = kept.up, .y = workspace_.activated, .count = rows * config_.ffn_width});
  project(layer, Projection::down, workspace_.activated, output, rows);
  kernels_.add(stream_, {.x = kept.middle, .y = output, .count = rows * width, .scale = 1});
}

void LlamaPass::head_forward(const float* hidden, std::int64_t rows) {
  assert(rows <= head_chunk_rows);
  const HeadScratch& head = workspace_.head;
  norm(hidden, weights_.final_norm, head.normed, head.rms, rows);
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

}  // namespace ftl
