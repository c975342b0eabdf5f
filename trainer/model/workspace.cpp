#include "trainer/model/workspace.h"

#include <algorithm>
#include <cassert>
#include <cmath>

namespace ftl {
namespace {

// Hands out aligned pieces; without a base it only counts.
class Arena {
 public:
  explicit Arena(std::byte* base) : base_(base) {}
  float* floats(std::int64_t count) { return take<float>(count); }
  std::int32_t* ints(std::int64_t count) { return take<std::int32_t>(count); }
  std::size_t used() const { return used_; }

 private:
  static constexpr std::size_t alignment = 256;  // cache lines here, coalesced accesses on a GPU
  template <class T>
  T* take(std::int64_t count) {
    assert(count >= 0);
    T* piece = base_ == nullptr ? nullptr : reinterpret_cast<T*>(base_ + used_);
    used_ += (static_cast<std::size_t>(count) * sizeof(T) + alignment - 1) / alignment * alignment;
    return piece;
  }
  std::byte* base_;
  std::size_t used_ = 0;
};

// The parts of a layer that inference shares between layers.
LayerActivations place_layer(Arena& arena, const ModelConfig& config, const WorkspacePlan& plan) {
  const std::int64_t rows = plan.max_rows;
  LayerActivations layer;
  layer.input = arena.floats(rows * config.width);
  layer.middle = arena.floats(rows * config.width);
  layer.attention_rms = arena.floats(rows);
  layer.mlp_rms = arena.floats(rows);
  layer.q = arena.floats(rows * config.query_width());
  if (config.qk_norm) {
    layer.q_projected = arena.floats(rows * config.query_width());
    layer.k_projected = arena.floats(rows * config.kv_width());
    layer.q_rms = arena.floats(rows * config.heads);
    layer.k_rms = arena.floats(rows * config.kv_heads);
  }
  layer.attended = arena.floats(rows * config.query_width());
  if (config.post_norms) {
    layer.attention_output = arena.floats(rows * config.width);
    layer.attention_output_rms = arena.floats(rows);
    layer.mlp_output = arena.floats(rows * config.width);
    layer.mlp_output_rms = arena.floats(rows);
  }
  layer.log_sum_exp = arena.floats(rows * config.heads);
  layer.gate = arena.floats(rows * config.ffn_width);
  layer.up = arena.floats(rows * config.ffn_width);
  if (plan.rank > 0) {
    float* shared = plan.training ? nullptr : arena.floats(rows * plan.rank);
    for (float*& low : layer.low) low = plan.training ? arena.floats(rows * plan.rank) : shared;
  }
  return layer;
}

BackwardScratch place_backward(Arena& arena, const ModelConfig& config, const WorkspacePlan& plan) {
  const std::int64_t rows = plan.max_rows;
  BackwardScratch scratch;
  scratch.stream = arena.floats(rows * config.width);
  scratch.normed = arena.floats(rows * config.width);
  scratch.q = arena.floats(rows * config.query_width());
  scratch.k = arena.floats(rows * config.kv_width());
  scratch.v = arena.floats(rows * config.kv_width());
  scratch.attended = arena.floats(rows * config.query_width());
  scratch.attention = arena.floats(attention_scratch_floats(rows, config.heads, config.head_dim));
  scratch.activated = arena.floats(rows * config.ffn_width);
  scratch.up = arena.floats(rows * config.ffn_width);
  scratch.low = arena.floats(rows * plan.rank);
  return scratch;
}

HeadScratch place_head(Arena& arena, const ModelConfig& config, const WorkspacePlan& plan) {
  const std::int64_t chunk = std::min(plan.max_rows, head_chunk_rows);
  HeadScratch head;
  head.hidden = arena.floats(chunk * config.width);
  head.normed = arena.floats(chunk * config.width);
  head.rms = arena.floats(chunk);
  head.logits = arena.floats(chunk * config.vocabulary);
  head.loss_sums = arena.floats((plan.max_rows + head_chunk_rows - 1) / head_chunk_rows);
  if (plan.training) {
    head.d_hidden = arena.floats(chunk * config.width);
    head.d_normed = arena.floats(chunk * config.width);
  }
  return head;
}

}  // namespace

std::size_t Workspace::place(std::byte* base, const ModelConfig& config, const WorkspacePlan& plan) {
  Arena arena(base);
  const std::int64_t rows = plan.max_rows;
  plan_ = plan;
  ids = arena.ints(rows);
  rows_used = arena.ints(rows);
  targets = arena.ints(rows);
  const auto table = [&]() -> Rotations {
    float* const cosine = arena.floats(rows * config.head_dim / 2);
    return {cosine, arena.floats(rows * config.head_dim / 2)};
  };
  rotations = table();
  sliding_rotations = config.has_sliding_rope() ? table() : rotations;
  layers.resize(static_cast<std::size_t>(config.layers));
  const LayerActivations shared = plan.training ? LayerActivations{} : place_layer(arena, config, plan);
  for (LayerActivations& layer : layers) {
    layer = plan.training ? place_layer(arena, config, plan) : shared;
    layer.k = arena.floats(rows * config.kv_width());
    layer.v = arena.floats(rows * config.kv_width());
  }
  output = plan.training ? arena.floats(rows * config.width) : shared.input;
  normed = arena.floats(rows * config.width);
  activated = arena.floats(rows * config.ffn_width);
  if (plan.training) backward = place_backward(arena, config, plan);
  head = place_head(arena, config, plan);
  return arena.used();
}

std::int64_t Workspace::bytes(const ModelConfig& config, const WorkspacePlan& plan) {
  Workspace counted;
  return static_cast<std::int64_t>(counted.place(nullptr, config, plan));
}

Result<std::unique_ptr<Workspace>> Workspace::make(Device& device, const ModelConfig& config,
                                                   const WorkspacePlan& plan) {
  assert(plan.max_rows >= 1);
  std::unique_ptr<Workspace> workspace(new Workspace);
  Result<Buffer> memory = device.allocate(static_cast<std::size_t>(bytes(config, plan)));
  if (!memory) return memory.error();
  workspace->memory_ = std::move(*memory);
  workspace->place(static_cast<std::byte*>(workspace->memory_.data()), config, plan);
  workspace->host_rows.reserve(static_cast<std::size_t>(plan.max_rows));
  workspace->host_targets.reserve(static_cast<std::size_t>(plan.max_rows));
  workspace->host_loss_sums.resize(static_cast<std::size_t>((plan.max_rows + head_chunk_rows - 1) / head_chunk_rows));
  workspace->pairs.resize(static_cast<std::size_t>(config.layers) * projections);
  Result<std::unique_ptr<Stream>> stream = device.make_stream(1);
  if (!stream) return stream.error();
  if (auto sent = workspace->upload_rotations(**stream, config, 0, plan.max_rows, plan.max_rows); !sent)
    return sent.error();
  return workspace;
}

namespace {

bool depends_on_length(const RopeParameters& rope) { return rope.kind == RopeKind::dynamic; }

}  // namespace

// A sequence is measured as it was given, so what is computed of it depends on itself alone. transformers measures the
// longest sequence of a padded batch, and remembers the longest so far.
Result<Done> Workspace::rotate_for(Stream& stream, const ModelConfig& config, std::int64_t first, std::int64_t length) {
  if (!depends_on_length(config.rope) && !depends_on_length(config.sliding_rope)) return Done{};
  return upload_rotations(stream, config, first, length, length);
}

Result<Done> Workspace::upload_rotations(Stream& stream, const ModelConfig& config, std::int64_t first,
                                         std::int64_t end, std::int64_t length) {
  const std::int64_t half = config.head_dim / 2;
  frequencies_.resize(static_cast<std::size_t>(half));
  cosines_.resize(static_cast<std::size_t>(plan_.max_rows * half));
  sines_.resize(cosines_.size());
  if (auto sent = upload_table(stream, config.rope, rotations, first, end, length); !sent) return sent;
  if (config.has_sliding_rope()) {
    auto sent = upload_table(stream, config.sliding_rope, sliding_rotations, first, end, length);
    if (!sent) return sent;
  }
  if (depends_on_length(config.rope) || depends_on_length(config.sliding_rope)) return Done{};
  cosines_ = std::vector<float>(), sines_ = std::vector<float>();  // never needed again
  return Done{};
}

// Angles in double: float32 angles, as in the original, lose digits at large positions.
Result<Done> Workspace::upload_table(Stream& stream, const RopeParameters& rope, const Rotations& to,
                                     std::int64_t first, std::int64_t end, std::int64_t length) {
  rope_frequencies(rope, length, frequencies_);
  const auto half = static_cast<std::int64_t>(frequencies_.size());
  std::size_t at = 0;
  for (std::int64_t position = first; position < end; ++position) {
    for (const double frequency : frequencies_) {
      const double angle = static_cast<double>(position) * frequency;
      cosines_[at] = static_cast<float>(rope.magnitude * std::cos(angle));
      sines_[at++] = static_cast<float>(rope.magnitude * std::sin(angle));
    }
  }
  const auto made = [at](const std::vector<float>& values) { return std::as_bytes(std::span(values).first(at)); };
  Device& device = stream.device();
  if (auto sent = device.upload(stream, to.cosine + first * half, made(cosines_)); !sent) return sent;
  if (auto sent = device.upload(stream, to.sine + first * half, made(sines_)); !sent) return sent;
  return stream.synchronize();
}

}  // namespace ftl
