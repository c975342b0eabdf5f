#include "comm/clock.h"

#include <thread>

namespace ftl {

TimePoint SystemClock::now() const { return {std::chrono::steady_clock::now().time_since_epoch()}; }

void SystemClock::sleep_until(TimePoint when) {
  std::this_thread::sleep_until(std::chrono::steady_clock::time_point(when.since_start));
}

}  // namespace ftl
