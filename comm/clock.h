// Time as a parameter. Deciders take a TimePoint; only loops at the edge hold a Clock. Seam: the system's monotonic
// clock, or the virtual clock of simulation/.
#pragma once

#include <chrono>
#include <compare>

namespace ftl {

using Duration = std::chrono::nanoseconds;

// Time since an arbitrary start that never goes backwards. Comparable only within one machine.
struct TimePoint {
  Duration since_start{};
  friend auto operator<=>(TimePoint, TimePoint) = default;
};
inline TimePoint operator+(TimePoint t, Duration d) { return {t.since_start + d}; }
inline Duration operator-(TimePoint a, TimePoint b) { return a.since_start - b.since_start; }

class Clock {
 public:
  virtual ~Clock() = default;
  virtual TimePoint now() const = 0;
  virtual void sleep_until(TimePoint when) = 0;
};

// CLOCK_MONOTONIC: equal for all processes of a machine, so times in rings of different ranks can be compared.
class SystemClock final : public Clock {
 public:
  TimePoint now() const override;
  void sleep_until(TimePoint when) override;
};

}  // namespace ftl
