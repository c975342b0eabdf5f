// What changes in training, as one flat array of values with their optimizer moments: an adapter, or every weight of the model in
// full-parameter mode. Checkpoints, hot state, the exact sum and the optimizer see the same order of floats.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "checkpoints/training_state.h"
#include "kernels/device.h"
#include "lora/adapter.h"
#include "trainer/model/llama.h"
#include "trainer/optimizer/adamw.h"

namespace ftl {

class TrainableState {
 public:
  static Result<TrainableState> make(Device& device, const RunConfig& config, const RunInputs& inputs, Llama& model);

  Adapter* adapter() { return adapter_ ? &*adapter_ : nullptr; }
  std::int64_t parameters() const { return parameters_; }
  AdamW_Optimizer& optimizer() { return *optimizer_; }
  std::span<const TrainableView> views() const { return views_; }   // host memory

 private:
  std::optional<Adapter> adapter_;
  std::vector<TrainableView> views_;
  std::int64_t parameters_ = 0;
};

}  // namespace ftl
