// The weights of a Llama: one flat float32 buffer in the order of the tensors' names, and where each lies in it.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "checkpoints/reader.h"
#include "failures/result.h"
#include "kernels/device.h"
#include "lora/adapter.h"
#include "trainer/model/model_config.h"
#include "trainer/model/workspace.h"

namespace ftl {

struct LayerWeights {
  const float* attention_norm = nullptr;              // [width]
  const float* mlp_norm = nullptr;                    // [width]
  std::array<const float*, projections> linear = {};  // [out, in] each
};

struct LlamaWeights {
  ModelConfig config;
  Buffer buffer;
  std::vector<TrainableTensor> tensors;  // sorted by name, dense
  std::vector<LinearModule> modules;     // linear_modules(config): layer * projections + projection
  const float* embedding = nullptr;      // [vocabulary, width]
  const float* final_norm = nullptr;     // [width]
  const float* head = nullptr;           // [vocabulary, width]; the embedding when tied
  std::vector<LayerWeights> layers;

  // Where the gradient of a weight lies in a flat gradient of the same layout.
  float* gradient_of(const float* weight, float* gradient) const { return gradient + (weight - buffer.floats()); }
};

Result<LlamaWeights> read_weights(Device& device, const ModelConfig& config, const CheckpointReader& reader);
Result<LlamaWeights> random_weights(Device& device, const ModelConfig& config, std::uint64_t seed);

}  // namespace ftl
