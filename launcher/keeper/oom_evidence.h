// Was it the out-of-memory killer? Two independent witnesses: the counter of the rank's memory cgroup (version 1 or 2), compared
// with its value at the start, and a line of the kernel log that names the rank's pid. Parsers are pure; OomWatch reads.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "launcher/engines/child_process.h"
#include "launcher/rank_evidence.h"

namespace ftl {

struct MemoryCgroup {
  int version = 0;         // 1 or 2
  std::string directory;   // where its files lie: "/sys/fs/cgroup/memory/job_7"
  friend bool operator==(const MemoryCgroup&, const MemoryCgroup&) = default;
};

// From /proc/<pid>/cgroup and /proc/<pid>/mountinfo. Understands mounts of a subtree (containers). nullopt: no memory cgroup.
std::optional<MemoryCgroup> memory_cgroup_of(std::string_view cgroup, std::string_view mountinfo);

// `oom_kill N` of memory.oom_control (version 1) or memory.events (version 2). nullopt: the counter is not there.
std::optional<std::int64_t> oom_kills_in(std::string_view text);

// memory.limit_in_bytes or memory.max; 0 = unlimited ("max", or the page counter's maximum) or garbage.
std::int64_t memory_limit_in(std::string_view text);

// The message of a /dev/kmsg record when it tells that the OOM killer took this pid.
std::optional<std::string> oom_message(std::string_view record, pid_t pid);

// Watches one process from its start. The kernel log is believed only in the machine's own pid namespace: elsewhere its pids are
// not ours.
class OomWatch {
 public:
  explicit OomWatch(pid_t pid);
  void refresh();           // the process may have been moved to another cgroup
  OomEvidence collect();    // once, before the process is reaped or right after

 private:
  std::int64_t kills_now(const MemoryCgroup& cgroup) const;
  pid_t pid_;
  std::optional<MemoryCgroup> cgroup_;
  std::map<std::string, std::int64_t> kills_before_;   // by directory
  Descriptor kernel_log_;
};

}  // namespace ftl
