// Decoder-only models of the shape of Llama, with the traits of its relatives (model_config.h): forward, backward to
// adapters (or to every weight in full-parameter mode), and cached decoding. Source of the formulas: Touvron et al.
// 2023 and Hugging Face's modeling_<family>.py (names of tensors, half-split RoPE, order of norms). One sequence at a
// time: a sequence is one leaf of the exact sum, so nothing here may depend on its neighbours.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "checkpoints/reader.h"
#include "kernels/device.h"
#include "lora/adapter.h"
#include "trainer/model/model_config.h"

namespace ftl {

// Sum of the loss over supervised tokens (not divided by anything) and their number.
struct LossSum {
  double loss = 0;
  std::int64_t tokens = 0;
};

// Told before every layer which way a pass goes, on the thread that computes: progress for a watchdog.
enum class Direction : std::uint8_t { forward, backward };
using PassProgress = std::function<void(Direction)>;

// Activations, gradients of activations and caches for one sequence in flight; one per lane. Planned for `max_rows`
// once: nothing is allocated after that. Defined in trainer/model/workspace.h; a std::unique_ptr<Workspace> needs that
// header.
class Workspace;

class Llama {
 public:
  // Reads every tensor that config calls for (checkpoint_incomplete names what is missing or misshapen, both shapes).
  static Result<Llama> load(Device& device, const ModelConfig& config, const CheckpointReader& reader);
  // For a base that is not trained: uses matrices where the reader has them (LlamaWeights), so the reader must outlive
  // the model. Same checks.
  static Result<Llama> map(Device& device, const ModelConfig& config, const CheckpointReader& reader);
  // Random weights (seeded, scaled by 0.02 like the reference initialisation): for training from scratch and for tests.
  static Result<Llama> random(Device& device, const ModelConfig& config, std::uint64_t seed);
  Llama(Llama&&) noexcept;
  Llama& operator=(Llama&&) noexcept;
  ~Llama();

  const ModelConfig& config() const;
  // The weights as trainable tensors, named as in Hugging Face checkpoints, sorted by name: full-parameter mode, and
  // for saving. Empty for mapped weights.
  std::span<const TrainableTensor> weights();

  // `adapter`: the shape of the adapter that this workspace will be used with; null for the base model and
  // full-parameter mode. A workspace for training serves logits() and decode() too.
  Result<std::unique_ptr<Workspace>> make_workspace(std::int64_t max_rows, bool for_training,
                                                    const AdapterShape* adapter = nullptr) const;
  // Exactly what make_workspace allocates: for training when there is an adapter or full_parameter (unless for_training
  // is false).
  static std::int64_t workspace_bytes(const ModelConfig& config, std::int64_t max_rows, const AdapterShape* adapter,
                                      bool full_parameter, bool for_training = true);

  // Sum of -log p over targets. ids: [rows]; targets: [rows], targets[i] = id that position i must predict, or -1 when
  // not supervised. When `gradient` is given (floats, laid out as adapter->layout() or, without adapter, as
  // weights_layout()), it is overwritten by the gradient of the sum. Work below the lowest adapter, and the LM head on
  // unsupervised rows, is not done.
  Result<LossSum> loss(Stream& stream, Workspace& workspace, const Adapter* adapter, std::span<const std::int32_t> ids,
                       std::span<const std::int32_t> targets, float* gradient, const PassProgress& progress = {});
  // Logits of every position: logits is [rows, vocabulary] on the host.
  Result<Done> logits(Stream& stream, Workspace& workspace, const Adapter* adapter, std::span<const std::int32_t> ids,
                      std::span<float> logits);
  // Feeds ids after the `position` tokens already in the workspace's key/value cache; logits of the last one:
  // [vocabulary].
  Result<Done> decode(Stream& stream, Workspace& workspace, const Adapter* adapter, std::span<const std::int32_t> ids,
                      std::int64_t position, std::span<float> logits);

 private:
  struct Impl;
  explicit Llama(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace ftl
