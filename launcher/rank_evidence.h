// What a keeper saw of its rank: gathered outside the rank, so it is there whatever happened to the rank.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "comm/flight_recorder.h"

namespace ftl {

enum class ProcessState : std::uint8_t {
  running,
  sleeping,
  uninterruptible,
  stopped,
  traced,
  zombie,
  gone
};  // /proc/<pid>/stat

// How a rank's process ended.
struct ExitStatus {
  bool signalled = false;
  int code = 0;  // exit code, or the signal's number
  bool core_dumped = false;
};

struct OomEvidence {
  std::int64_t cgroup_kills = 0;  // oom_kill of the rank's memory cgroup since the rank was started (v1 and v2)
  std::string kernel_line;        // of the kernel log that names the rank's pid, if it can be read
  std::int64_t limit_bytes = 0;   // of the cgroup, 0 = unlimited or not known
};

// Sent on exit.
struct ExitEvidence {
  ExitStatus status;
  std::int32_t pid = 0;
  bool killed_by_keeper = false;        // teardown: the keeper itself sent the signal
  std::optional<RingSnapshot> ring;     // read after the death
  std::vector<std::string> last_lines;  // of stdout and stderr, at most 40
  OomEvidence oom;
  std::int64_t peak_resident_bytes = 0;
};

// Sent every 100 ms while the rank lives (sooner after a change of phase or collective would be waste: the ring has the
// history).
struct Pulse {
  ProcessState state = ProcessState::running;
  RingSnapshot ring;           // recent: the last 8 entries
  bool ring_readable = false;  // false until the rank has created it
  TimePoint at;                // the keeper's monotonic clock: equal to the launcher's on the same machine
  double cpu_seconds = 0;      // user + system of the rank's process
};

}  // namespace ftl
