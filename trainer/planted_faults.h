// Faults planted by --inject, fired inside the rank at the place they are named for. A fired fault is reported first,
// so the launcher does not plant it again when the step is replayed; then it is real: a real signal, a real hang, a
// real wrong call.
#pragma once

#include <vector>

#include "trainer/rank_context.h"

namespace ftl {

// What the training loop must do differently at its next collective.
enum class CollectiveSabotage : std::uint8_t { none, skip, mismatch };

class PlantedFaults {
 public:
  PlantedFaults(RankContext& context, const std::vector<FaultSpec>& faults, Attempt attempt);
  // Fires what is planted for this rank, phase and step: the step being computed (from 1), or the one just completed in
  // the phases that follow a step. Phase init comes once an attempt, so there the step does not matter. May not return.
  void at(Phase phase, std::int64_t step);
  CollectiveSabotage collective_sabotage(std::int64_t computing_step);
  // Overwrites a value with NaN when nan_loss or nan_grad is planted here.
  void spoil(std::int64_t computing_step, double& loss, std::span<float> gradient);

 private:
  bool due(const FaultSpec& fault, std::string_view name, std::int64_t computing_step) const;
  void announce(FaultSpec& fault, std::int64_t computing_step);
  void fire(FaultSpec& fault, std::int64_t computing_step);

  RankContext& context_;
  std::vector<FaultSpec> mine_;  // planted for this rank and attempt; `times` counts down
};

}  // namespace ftl
