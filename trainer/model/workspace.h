// All memory that one sequence in flight needs, in one arena that is planned once. The plan is walked twice by the same
// code: without memory to learn the size, then with memory to place the pointers; so the predicted size is the
// allocated size.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "failures/result.h"
#include "kernels/device.h"
#include "lora/adapter.h"
#include "trainer/model/model_config.h"

namespace ftl {

// The seven linear layers of a layer, in the order of linear_modules().
enum class Projection : std::uint8_t { q, k, v, o, gate, up, down };
inline constexpr std::size_t projections = 7;

// What a layer keeps for backward (training), or for the layer itself only (all layers share it, but for k and v).
// Normed inputs and the gated product are not kept: backward computes them again, which is cheap.
struct LayerActivations {
  float* input = nullptr;                    // [rows, width] residual stream at the entrance
  float* middle = nullptr;                   // [rows, width] after attention
  float* attention_rms = nullptr;            // [rows] inverse
  float* mlp_rms = nullptr;                  // [rows] inverse
  float* q = nullptr;                        // [rows, heads, head_dim] rotated
  float* k = nullptr;                        // [rows, kv_heads, head_dim] rotated; also the key cache of decode()
  float* v = nullptr;                        // [rows, kv_heads, head_dim]; also the value cache
  float* q_projected = nullptr;              // [rows, heads, head_dim] before its norm; null without qk_norm
  float* k_projected = nullptr;              // [rows, kv_heads, head_dim] before its norm; null without qk_norm
  float* q_rms = nullptr;                    // [rows, heads] inverse; null without qk_norm
  float* k_rms = nullptr;                    // [rows, kv_heads] inverse; null without qk_norm
  float* attended = nullptr;                 // [rows, heads, head_dim]
  float* attention_output = nullptr;         // [rows, width] before its norm; null without post_norms
  float* attention_output_rms = nullptr;     // [rows] inverse; null without post_norms
  float* mlp_output = nullptr;               // [rows, width] before its norm; null without post_norms
  float* mlp_output_rms = nullptr;           // [rows] inverse; null without post_norms
  float* log_sum_exp = nullptr;              // [heads, rows]
  float* gate = nullptr;                     // [rows, ffn_width]
  float* up = nullptr;                       // [rows, ffn_width]
  std::array<float*, projections> low = {};  // [rows, rank] x A^T of each adapted projection
};

// Gradients of activations, shared by all layers; training only.
struct BackwardScratch {
  float* stream = nullptr;  // [rows, width] of the residual stream
  float* normed = nullptr;  // [rows, width]
  float* q = nullptr;
  float* k = nullptr;
  float* v = nullptr;
  float* attended = nullptr;   // [rows, heads, head_dim]
  float* attention = nullptr;  // attention_scratch_floats()
  float* activated = nullptr;  // [rows, ffn_width]
  float* up = nullptr;         // [rows, ffn_width]; the gradient of gate takes the place of the gated product
  float* low = nullptr;        // [rows, rank]
};

// The LM head works on at most this many rows at a time, so that memory for logits is bounded.
inline constexpr std::int64_t head_chunk_rows = 128;

struct HeadScratch {
  float* hidden = nullptr;     // [chunk, width] gathered rows of the last residual stream
  float* normed = nullptr;     // [chunk, width]
  float* rms = nullptr;        // [chunk] inverse
  float* logits = nullptr;     // [chunk, vocabulary]
  float* d_hidden = nullptr;   // [chunk, width], training only
  float* d_normed = nullptr;   // [chunk, width], training only
  float* loss_sums = nullptr;  // one a chunk
};

// Tables of angles, one row a position.
struct Rotations {
  float* cosine = nullptr;  // [rows, head_dim / 2]
  float* sine = nullptr;    // [rows, head_dim / 2]
};

struct WorkspacePlan {
  std::int64_t max_rows = 0;
  bool training = false;
  std::int64_t rank = 0;  // 0: no adapter
};

class Workspace {
 public:
  static Result<std::unique_ptr<Workspace>> make(Device& device, const ModelConfig& config, const WorkspacePlan& plan);
  static std::int64_t bytes(const ModelConfig& config, const WorkspacePlan& plan);

  const WorkspacePlan& plan() const { return plan_; }
  std::int64_t allocated_bytes() const { return static_cast<std::int64_t>(memory_.bytes()); }

  std::int32_t* ids = nullptr;        // [rows]
  std::int32_t* rows_used = nullptr;  // [rows] ascending positions that have a target
  std::int32_t* targets = nullptr;    // [rows] of those positions
  Rotations rotations;                // of layers that see everything
  Rotations sliding_rotations;        // of sliding layers; the same where the angles are
  std::vector<LayerActivations> layers;
  float* output = nullptr;     // [rows, width] residual stream after the last layer
  float* normed = nullptr;     // [rows, width]
  float* activated = nullptr;  // [rows, ffn_width] activation(gate) * up
  BackwardScratch backward;
  HeadScratch head;

  // On the host, with room for max_rows; so that nothing is allocated while a sequence is computed.
  std::vector<std::int32_t> host_rows;
  std::vector<std::int32_t> host_targets;
  std::vector<float> host_loss_sums;
  std::vector<Adapter::Pair> pairs;  // of each linear module, null pointers where there is no adapter

  // Makes the angles of `length` tokens, of which the rows from `first` on are still to come. Does nothing where angles
  // do not depend on the length of a sequence.
  Result<Done> rotate_for(Stream& stream, const ModelConfig& config, std::int64_t first, std::int64_t length);

 private:
  Workspace() = default;
  // Places every pointer from `base` on (null: only counts) and returns the bytes needed.
  std::size_t place(std::byte* base, const ModelConfig& config, const WorkspacePlan& plan);
  // Positions [first, end) of the tables, for a sequence of `length` tokens.
  Result<Done> upload_rotations(Stream& stream, const ModelConfig& config, std::int64_t first, std::int64_t end,
                                std::int64_t length);
  Result<Done> upload_table(Stream& stream, const RopeParameters& rope, const Rotations& to, std::int64_t first,
                            std::int64_t end, std::int64_t length);

  WorkspacePlan plan_;
  std::vector<double> frequencies_;     // [head_dim / 2]
  std::vector<float> cosines_, sines_;  // [rows, head_dim / 2] on their way to the device
  Buffer memory_;
};

}  // namespace ftl
