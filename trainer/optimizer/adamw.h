// AdamW over the flat buffer of all trainable values, with the clipping of torch.nn.utils.clip_grad_norm_ folded into
// the factor that the gradients are multiplied by, so each value is read once. A step whose gradient is not finite
// changes nothing.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "checkpoints/training_state.h"
#include "failures/result.h"
#include "kernels/device.h"
#include "lora/adapter.h"

namespace ftl {

struct AdamWSettings {
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;
  double weight_decay = 0;   // for tensors with `decayed`
  double max_grad_norm = 1;  // 0 or less: no clipping
};

struct UpdateReport {
  double gradient_norm = 0;            // of the scaled gradient, before clipping
  std::int64_t non_finite_index = -1;  // floats from the beginning of the flat gradient; -1: all are finite
  std::string non_finite_tensor;       // which tensor that is in
};

class AdamWOptimizer {
 public:
  // `layout`: Adapter::layout() or Llama::weights(), dense and in memory order; the device must outlive the optimizer.
  // Moments begin as zero.
  static Result<AdamWOptimizer> create(Device& device, std::span<const TrainableTensor> layout,
                                       const AdamWSettings& settings);

  // Update number `step`, counted from 1. `gradient`: floats, laid out like the parameters; `gradient_factor`
  // multiplies it first (1 / supervised tokens of the global batch).
  Result<UpdateReport> step(Stream& stream, const float* gradient, double gradient_factor, std::int64_t step,
                            double learning_rate, const SignOfLife& sign_of_life = {});
  // The norm and the first value that is not finite, without an update.
  Result<UpdateReport> measure(Stream& stream, const float* gradient, double gradient_factor);

  float* exp_avg() { return exp_avg_.floats(); }
  float* exp_avg_sq() { return exp_avg_sq_.floats(); }
  std::int64_t parameters() const { return count_; }
  // Parameters and moments for checkpoints and hot state; memory of the device, so on the host's own device only.
  std::vector<TrainableView> views();

 private:
  // A run of neighbouring tensors that are all decayed or all not.
  struct Segment {
    std::int64_t offset = 0;
    std::int64_t count = 0;
    bool decayed = true;
  };
  AdamWOptimizer() = default;

  std::vector<TrainableTensor> layout_;
  std::vector<Segment> segments_;
  AdamWSettings settings_;
  float* parameters_ = nullptr;
  std::int64_t count_ = 0;
  Buffer exp_avg_;
  Buffer exp_avg_sq_;
  Buffer square_sum_;  // double
  Buffer non_finite_;  // int64
};

}  // namespace ftl
