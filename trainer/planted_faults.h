// Faults planted by --inject, fired inside the rank at the place they are named for. A fired fault is reported first,
// so the launcher does not plant it again when the step is replayed; then it is real: a real signal, a real hang, a
// real wrong call.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "trainer/rank_context.h"

namespace ftl {

// What the training loop must do differently at its next collective.
enum class CollectiveSabotage : std::uint8_t { none, skip, mismatch, library_error };

class PlantedFaults {
 public:
  PlantedFaults(RankContext& context, const std::vector<FaultSpec>& faults, Attempt attempt);
  // Fires what is planted for this rank, phase and step: the step being computed (from 1), or the one just completed in
  // the phases that follow a step. Phase init comes once an attempt, so there the step does not matter. May not return.
  void at(Phase phase, std::int64_t step);
  CollectiveSabotage collective_sabotage(std::int64_t computing_step);
  Failure library_error() const;  // what library_error stands for
  // Overwrites a value with NaN, or makes the loss jump, when nan_loss, nan_grad or loss_spike is planted here.
  void spoil(std::int64_t computing_step, double& loss, std::span<float> gradient);
  // The files that the checkpoint of `step` is written through: the context's, or full ones.
  Files& files_for_checkpoint(std::int64_t step);
  // Tears or flips a bit of what has just been written.
  Result<Done> damage_checkpoint(std::int64_t step, const std::string& directory);

 private:
  bool due(const FaultSpec& fault, std::string_view name, std::int64_t computing_step) const;
  void announce(FaultSpec& fault, std::int64_t computing_step);
  void fire(FaultSpec& fault, std::int64_t computing_step);

  RankContext& context_;
  void slow_down(FaultSpec& fault, std::int64_t computing_step);

  std::vector<FaultSpec> mine_;  // planted for this rank and attempt; `times` counts down
  bool slowed_ = false;          // a slow rank is told once an attempt
  std::int64_t library_error_code_ = 0;
  std::unique_ptr<Files> full_files_;
};

}  // namespace ftl
