#include "trainer/model/rope_frequencies.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace ftl {
namespace {

// NTK-aware scaling: a larger base slows the slow pairs, and leaves the fastest as it is.
double grown_theta(const RopeParameters& rope, std::int64_t length, double dim) {
  const auto original = static_cast<double>(rope.original_positions);
  const double longest = std::max(static_cast<double>(length), original);
  return rope.theta * std::pow(rope.factor * longest / original - (rope.factor - 1), dim / (dim - 2));
}

double slowed_as_llama3(const RopeParameters& rope, double frequency) {
  const double turns = static_cast<double>(rope.original_positions) * frequency / (2 * std::numbers::pi);
  if (turns > rope.high_frequency_factor) return frequency;
  if (turns < rope.low_frequency_factor) return frequency / rope.factor;
  const double smooth = (turns - rope.low_frequency_factor) / (rope.high_frequency_factor - rope.low_frequency_factor);
  return (1 - smooth) * frequency / rope.factor + smooth * frequency;
}

// Pairs below `low` keep their frequency, pairs above `high` are slowed in full.
struct Ramp {
  double low, high;
};
Ramp ramp_of_yarn(const RopeParameters& rope, double dim) {
  // The pair that turns `rotations` times within the original positions.
  const auto pair_of = [&](double rotations) {
    const double positions = static_cast<double>(rope.original_positions) / (rotations * 2 * std::numbers::pi);
    return dim * std::log(positions) / (2 * std::log(rope.theta));
  };
  Ramp ramp{pair_of(rope.beta_fast), pair_of(rope.beta_slow)};
  if (rope.truncate) ramp = {std::floor(ramp.low), std::ceil(ramp.high)};
  ramp = {std::max(ramp.low, 0.0), std::min(ramp.high, dim - 1)};
  if (ramp.low == ramp.high) ramp.high += 0.001;
  return ramp;
}

}  // namespace

void rope_frequencies(const RopeParameters& rope, std::int64_t length, std::span<double> inverse) {
  const double dim = 2 * static_cast<double>(inverse.size());
  const double theta = rope.kind == RopeKind::dynamic ? grown_theta(rope, length, dim) : rope.theta;
  const Ramp ramp = rope.kind == RopeKind::yarn ? ramp_of_yarn(rope, dim) : Ramp{0, 1};
  for (std::size_t i = 0; i < inverse.size(); ++i) {
    const double frequency = std::pow(theta, -2.0 * static_cast<double>(i) / dim);
    switch (rope.kind) {
      case RopeKind::plain:
      case RopeKind::dynamic: inverse[i] = frequency; break;
      case RopeKind::linear: inverse[i] = frequency / rope.factor; break;
      case RopeKind::llama3: inverse[i] = slowed_as_llama3(rope, frequency); break;
      case RopeKind::yarn: {
        const double slowed = std::clamp((static_cast<double>(i) - ramp.low) / (ramp.high - ramp.low), 0.0, 1.0);
        inverse[i] = frequency / rope.factor * slowed + frequency * (1 - slowed);
        break;
      }
    }
  }
}

}  // namespace ftl
