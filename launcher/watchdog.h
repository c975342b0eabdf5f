// Tells a rank that is stuck from one that waits or is merely slow. A rank that sits in a collective which a peer has
// not started only waits: the peer owes progress, and only ranks that owe progress have a deadline. Progress is what
// the flight recorder shows (phases, collectives, heartbeats), seen from outside, so a rank need not be able to speak.
//
// Pure: time comes with every call. Intervals in which nobody looked (the launcher itself was suspended) do not count.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string_view>
#include <vector>

#include "comm/clock.h"
#include "configs/run_config.h"
#include "launcher/rank_evidence.h"

namespace ftl {

enum class AlarmCause : std::uint8_t {
  stopped,        // the process has been in state T for two seconds
  no_progress,    // it owes progress and has shown none for its limit
  keeper_silent,  // no pulse has come, so nothing is known of the rank
  not_started,    // no keeper, no process or no ring when the time for the start was over
  not_exited,     // it reported that it had finished and is still there, and no rank makes progress any more
};

struct Alarm {
  Rank rank;
  AlarmCause cause;
  TimePoint since;  // last sign of progress (stopped: when it was first seen stopped; keeper_silent: the last pulse)
  Duration limit;   // that was exceeded
};

class Watchdog {
 public:
  Watchdog(const WatchdogConfig& config, WorldSize world);

  // Forgets the ranks of the attempt before; the step times stay.
  void begin_attempt(TimePoint now);
  void keeper_connected(Rank rank, TimePoint now);
  void rank_started(Rank rank, TimePoint now);
  void pulse(Rank rank, const Pulse& pulse, TimePoint now);
  void step_completed(double seconds);
  void finished(Rank rank, TimePoint now);
  void gone(Rank rank);  // exited, or its keeper was lost: somebody else's matter

  // All alarms that stand now; empty while everything is well. Call it every 50 ms or so.
  std::vector<Alarm> tick(TimePoint now);

  // max(stuck_floor_seconds, stuck_step_factor x median of the recent step times); the floor before any step.
  Duration deadline() const;
  TimePoint last_progress(Rank rank) const;

 private:
  struct Watched {
    bool connected = false, started = false, finished = false, gone = false;
    bool has_pulse = false;
    Pulse pulse;  // the newest
    TimePoint pulse_at;
    TimePoint progress_at;
    std::optional<TimePoint> stopped_since;
    std::optional<TimePoint> left_init_at;
  };
  bool waits_for_a_peer(const Watched& rank) const;
  Duration limit_of(const Watched& rank) const;
  Duration limit_of_first_step(const Watched& rank) const;
  TimePoint newest_progress() const;
  std::optional<Alarm> judge(Rank number, const Watched& rank, TimePoint now) const;
  void forgive_unwatched_time(TimePoint now);

  WatchdogConfig config_;
  std::vector<Watched> ranks_;
  std::deque<double> step_seconds_;  // of all ranks, the newest last
  bool step_completed_in_attempt_ = false;
  std::optional<TimePoint> last_tick_;
};

}  // namespace ftl
