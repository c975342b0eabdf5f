// What /proc says about processes: state and times of one, and all that belong to an attempt. Every process of an
// attempt inherits the marker FTL_ATTEMPT=<run id>/<attempt>, so even one that left its group and lost its parents is
// found, and a pid that was given to a stranger in the meantime is never killed.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "launcher/rank_evidence.h"

namespace ftl {

struct ProcessStat {
  pid_t pid = 0;
  pid_t parent = 0;
  pid_t group = 0;
  ProcessState state = ProcessState::gone;
  std::uint64_t cpu_ticks = 0;    // user + system, sysconf(_SC_CLK_TCK) a second
  std::uint64_t start_ticks = 0;  // since boot: with the pid, the identity of a process
};

// The text of /proc/<pid>/stat. The program's name in it may hold spaces, parentheses and newlines. nullopt: garbage.
std::optional<ProcessStat> parse_process_stat(std::string_view text);
std::optional<ProcessStat> process_stat(pid_t pid);  // nullopt: gone

// A process of this pid lives (is no zombie) and is the one that started then.
bool alive(pid_t pid, std::uint64_t start_ticks);

inline constexpr const char* attempt_variable = "FTL_ATTEMPT";
std::string attempt_marker(const std::string& run_id, Attempt attempt);  // "FTL_ATTEMPT=<run id>/<attempt>"

// Living processes of this user whose environment holds the marker as an entry, except the caller. Zombies have none.
std::vector<pid_t> processes_marked(const std::string& marker);
// SIGKILL to all of them, each through a handle that cannot pass to another process; repeated until none is found, at
// most `rounds` times. Returns how many were killed.
int kill_marked(const std::string& marker, int rounds = 10);

// The whole file, at most `limit` bytes; nullopt: it cannot be read. For /proc and /sys, whose files have no size.
std::optional<std::string> read_small_file(const std::string& path, std::size_t limit = 1 << 20);

}  // namespace ftl
