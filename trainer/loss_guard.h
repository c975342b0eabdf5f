// Tells a loss that jumped from one that is merely noisy, before its gradient is applied. All ranks see the same sum,
// so all decide alike.
#pragma once

#include <optional>
#include <span>

#include "checkpoints/training_state.h"

namespace ftl {

// The loss above which the next step is called a spike, given what was reported so far (the newest 64 steps count;
// evaluations do not): with eight known losses three times their median and ten of their robust standard deviations
// (1.4826 x median absolute deviation) above it; with two to seven, ten times their median; and always one nat above
// the median, for a loss near zero multiplies easily. Empty: too little is known.
struct SpikeLimit {
  double median = 0;
  double limit = 0;
  std::size_t losses = 0;  // that were looked at
};
std::optional<SpikeLimit> spike_limit(std::span<const MetricsRecord> recent);

// Neither NaN nor infinite, all of them. One pass at the speed of memory.
bool all_finite(std::span<const float> values);

}  // namespace ftl
