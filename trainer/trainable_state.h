// What changes in training, as one flat array of values with its optimizer moments: an adapter, or every weight of the
// model in full-parameter mode. Checkpoints, hot state, the exact sum and the optimizer see the same order of floats.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "checkpoints/training_state.h"
#include "configs/run_config.h"
#include "kernels/device.h"
#include "lora/adapter.h"
#include "trainer/model/llama.h"
#include "trainer/optimizer/adamw.h"
#include "trainer/run_inputs.h"

namespace ftl {

class TrainableState {
 public:
  static Result<TrainableState> make(Device& device, const RunConfig& config, const RunInputs& inputs, Llama& model);

  Adapter* adapter() { return adapter_.get(); }
  std::int64_t parameters() const { return optimizer_->parameters(); }
  // Host memory: what checkpoints and hot state read and a resume fills. On the CPU these are the values themselves; on
  // another device they are copies that download() and upload() bring up to date.
  std::span<const TrainableView> views() const { return views_; }
  Result<Done> download(Stream& stream);
  Result<Done> upload(Stream& stream);
  // A leaf's gradient, from device memory into host memory.
  Result<Done> download_gradient(Stream& stream, const float* gradient, std::span<float> to);
  // One optimizer step (number `step`, from 1) with the summed gradient times `factor`. Returns the gradient's norm
  // before clipping; loss_not_finite, and nothing changed, when a value is NaN or infinite.
  Result<double> apply(Stream& stream, std::span<const float> gradient, double factor, double learning_rate,
                       std::int64_t step, const SignOfLife& sign_of_life);

 private:
  Result<Done> mirror(std::span<const TrainableTensor> layout);

  Device* device_ = nullptr;
  std::unique_ptr<Adapter> adapter_;
  std::optional<AdamWOptimizer> optimizer_;
  float* values_ = nullptr;    // device memory, the beginning of the flat array
  Buffer gradient_;            // device memory; empty on the CPU
  std::vector<float> mirror_;  // values, exp_avg, exp_avg_sq; empty on the CPU
  std::vector<TrainableView> views_;
};

}  // namespace ftl
