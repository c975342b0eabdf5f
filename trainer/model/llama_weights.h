// The weights of a model. Trainable: one flat float32 buffer in the order of the tensors' names. Frozen: matrices are
// used where the checkpoint's file is mapped, as they are stored there, so that all ranks of a node share one copy.
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
  const float* attention_norm = nullptr;              // [width] before attention
  const float* attention_output_norm = nullptr;       // [width] behind it; null without post_norms
  const float* mlp_norm = nullptr;                    // [width] before the feed-forward block
  const float* mlp_output_norm = nullptr;             // [width] behind it; null without post_norms
  const float* q_norm = nullptr;                      // [head_dim]; null without qk_norm
  const float* k_norm = nullptr;                      // [head_dim]; null without qk_norm
  std::array<StoredMatrix, projections> linear = {};  // [out, in] each
  std::array<const float*, projections> bias = {};    // [out] each, null where there is none
};

struct LlamaWeights {
  ModelConfig config;
  Buffer buffer;                         // the tensors; or what frozen weights cannot be used from where they lie
  std::vector<TrainableTensor> tensors;  // sorted by name, dense; empty when the weights are frozen
  std::vector<LinearModule> modules;     // linear_modules(config): layer * projections + projection
  StoredMatrix embedding;                // [vocabulary, width]
  const float* final_norm = nullptr;     // [width]
  StoredMatrix head;                     // [vocabulary, width]; the embedding when tied
  std::vector<LayerWeights> layers;

  // Where the gradient of a weight lies in a flat gradient of the same layout.
  float* gradient_of(const float* weight, float* gradient) const { return gradient + (weight - buffer.floats()); }
};

// The reader must outlive the weights. A mapped file that somebody cuts short under a running rank ends it by SIGBUS.
Result<LlamaWeights> map_weights(Device& device, const ModelConfig& config, const CheckpointReader& reader);
// What map_weights uses where it lies, and what it copies (norms, biases, and matrices that kernels cannot read there).
struct BaseBytes {
  std::int64_t mapped = 0, copied = 0;
};
BaseBytes bytes_of_mapped_weights(const ModelConfig& config, const CheckpointReader& reader);
Result<LlamaWeights> read_weights(Device& device, const ModelConfig& config, const CheckpointReader& reader);
Result<LlamaWeights> random_weights(Device& device, const ModelConfig& config, std::uint64_t seed);

}  // namespace ftl
