// Was it the out-of-memory killer? Two independent witnesses: the counter of the rank's memory cgroup (version 1 or 2),
// compared with its value at the start, and a line of the kernel log that names the rank's pid. Parsers are pure;
// OomWatch reads.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "launcher/engines/child_process.h"
#include "launcher/rank_evidence.h"

namespace ftl {

struct MemoryCgroup {
  int version = 0;        // 1 or 2
  std::string directory;  // where its files lie: "/sys/fs/cgroup/memory/job_7"
  friend bool operator==(const MemoryCgroup&, const MemoryCgroup&) = default;
};

// From /proc/<pid>/cgroup and /proc/<pid>/mountinfo. Understands mounts of a subtree (containers). nullopt: no memory
// cgroup.
std::optional<MemoryCgroup> memory_cgroup_of(std::string_view cgroup, std::string_view mountinfo);

// `oom_kill N` of memory.oom_control (version 1) or memory.events (version 2). nullopt: the counter is not there.
std::optional<std::int64_t> oom_kills_in(std::string_view text);

// memory.limit_in_bytes or memory.max; 0 = unlimited ("max", or the page counter's maximum) or garbage.
std::int64_t memory_limit_in(std::string_view text);

// The message of a /dev/kmsg record when it tells that the OOM killer took this pid.
std::optional<std::string> oom_message(std::string_view record, pid_t pid);

// Watches one process from its start. The kernel log is believed only in the machine's own pid namespace: elsewhere its
// pids are not ours.
class OomWatch {
 public:
  explicit OomWatch(pid_t pid);
  void refresh();  // while the process lives: it may have been moved to another cgroup. The dead are listed in "/".
  OomEvidence collect();  // once, after its death

 private:
  struct Seen {
    MemoryCgroup cgroup;
    std::int64_t kills_before = 0;
  };
  pid_t pid_;
  std::vector<Seen> seen_;  // every cgroup the process was found in; the last one is the newest
  Descriptor kernel_log_;
};

}  // namespace ftl
