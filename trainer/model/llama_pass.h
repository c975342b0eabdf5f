// One sequence going through a model: forward over the layers, the LM head on some rows, backward over the layers. A
// pass is made of references only; weights, workspace and adapter belong to the caller.
#pragma once

#include <cstdint>

#include "kernels/device.h"
#include "lora/adapter.h"
#include "lora/lora_linear.h"
#include "trainer/model/llama.h"
#include "trainer/model/llama_weights.h"
#include "trainer/model/workspace.h"

namespace ftl {

class LlamaPass {
 public:
  // Looks the adapter's pairs up once. `adapter` and `progress` may be null.
  LlamaPass(Stream& stream, const LlamaWeights& weights, Workspace& workspace, const Adapter* adapter,
            const PassProgress* progress = nullptr);

  // workspace.ids[0, rows) -> workspace.output. Row 0 is at `first_position`; keys and values before it are in the
  // workspace.
  void forward(std::int64_t rows, std::int64_t first_position);
  // hidden: [rows, width], at most head_chunk_rows -> workspace.head.logits [rows, vocabulary], not capped yet: the
  // loss caps them itself
  void head_forward(const float* hidden, std::int64_t rows);
  // The soft cap of workspace.head.logits, where the model has one.
  void cap_logits(std::int64_t rows);
  // From workspace.head.logits overwritten by their gradient to workspace.head.d_hidden, for the rows of the last
  // head_forward. full_gradient: where the weights' gradients are added, null in adapter mode.
  void head_backward(const float* hidden, std::int64_t rows, float* full_gradient);
  // From workspace.backward.stream = gradient of workspace.output down to the lowest thing that is trained: the
  // embedding when full-parameter mode (no adapter), else the lowest adapted projection.
  void backward(std::int64_t rows, float* gradient);

  // Whether the adapter has any module here; without one there is nothing to go backward to.
  bool has_adapted_module() const { return lowest_stage_ >= 0; }

 private:
  // Where projections read their input, from the bottom of a layer up: backward stops at the lowest that is trained.
  enum class Stage : std::int64_t { attention_input, attention_output, mlp_input, mlp_output };
  static constexpr std::int64_t stages = 4;

  void report(Direction direction) const {
    if (progress_ != nullptr && *progress_) (*progress_)(direction);
  }
  void layer_forward(std::size_t layer, float* output, std::int64_t rows, std::int64_t first_position);
  // input -> middle, middle -> output of a layer
  void attention_forward(std::size_t layer, std::int64_t rows, std::int64_t first_position);
  void mlp_forward(std::size_t layer, float* output, std::int64_t rows);
  // q and k as attention reads them: normed, where the model norms them, and rotated
  void turn_forward(std::size_t layer, float* k, std::int64_t rows, std::int64_t first_position);
  // scratch.q and scratch.k back to the gradients of what was projected
  void turn_backward(std::size_t layer, std::int64_t rows, float* gradient);
  void rotate(std::size_t layer, float* x, std::int64_t heads, std::int64_t rows, std::int64_t first_position,
              bool backward);
  void gate_forward(std::size_t layer, std::int64_t rows);
  // Each returns whether anything below is trained.
  bool mlp_backward(std::size_t layer, std::int64_t rows, float* gradient);
  bool attention_backward(std::size_t layer, std::int64_t rows, float* gradient);
  bool needs_gradient_below(std::size_t layer, Stage stage) const;
  bool is_trained(std::size_t layer, Stage stage) const;

  LoraLinear linear(std::size_t layer, Projection projection) const;
  void project(std::size_t layer, Projection projection, const float* x, float* y, std::int64_t rows);
  // d_x is null when nothing below needs it.
  void project_backward(std::size_t layer, Projection projection, const float* x, const float* dy, float* d_x,
                        bool accumulate, std::int64_t rows, float* gradient);
  // rows of `width` each
  void norm(const float* x, const float* gain, float* y, float* inverse_rms, std::int64_t rows, std::int64_t width);
  // dx = (or += with `accumulate`) the gradient through the norm; the gain's gradient in full-parameter mode
  struct NormGradient {
    const float* x;
    const float* gain;
    const float* inverse_rms;
    const float* dy;
    float* dx;
    std::int64_t rows, width;
    bool accumulate;
  };
  void norm_backward(const NormGradient& of, float* gradient);
  // The gradient of what a block added to the stream, before its norm if it has one: the stream's own otherwise.
  const float* added_gradient(const float* output, const float* gain, const float* inverse_rms, std::int64_t rows,
                              float* gradient);

  Stream& stream_;
  const KernelTable& kernels_;
  const LlamaWeights& weights_;
  const ModelConfig& config_;
  Workspace& workspace_;
  const Adapter* adapter_;
  const PassProgress* progress_;
  std::int64_t lowest_stage_ =
      -1;  // layer * stages + stage of the lowest adapted projection; -1: none (everything is trained)
};

}  // namespace ftl
