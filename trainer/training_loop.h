// The LoRA fine-tuning loop of one rank. It knows no backend, no clock and no file system but those of its RankContext,
// so the same loop runs under mpirun, on a GPU and in simulation.
//
// One step: own leaves forward and backward -> exact sum over all ranks -> guards -> clip -> AdamW -> hot state ->
// report. Every rank holds the same trainable state and takes the same decisions from the same sums.
#pragma once

#include <cstdint>
#include <string>

#include "configs/run_config.h"
#include "trainer/rank_context.h"
#include "trainer/run_inputs.h"

namespace ftl {

// Three floats travel behind the gradient in a step's exact sum: the sum of the loss; whether a rank was asked to stop
// (so that all ranks stop after the same step); and a tag of the step, so that a rank which is in another step than its
// peers cannot spoil a sum of the right size unseen: no rank applies a sum whose tag is wrong.
inline constexpr std::int64_t exact_sum_passengers = 3;

struct TrainingOutcome {
  std::int64_t step = 0;
  bool stopped = false;  // on request; a checkpoint was written
};

// Trains from spec.resume_from to the end, or to a stop request. Failures: loss_not_finite, storage_full,
// storage_failed, checkpoint_corrupt, communication_failure, run_identity_changed, platform_changed.
Result<TrainingOutcome> train(RankContext& context, const ProcessSpec& spec, const RunConfig& config, RunInputs& inputs,
                              Llama& model);

}  // namespace ftl
