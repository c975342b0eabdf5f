// The limits that the shell (ulimit) or a container sets on this process and all that it starts. They are judged before
// a launch: under one that is too small a rank dies by a signal that names nothing, or its libraries wait for memory
// that never comes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "failures/failure.h"
#include "launcher/preflight.h"

namespace ftl {

struct ProcessLimits {  // empty: unlimited
  std::optional<std::int64_t> open_files;
  std::optional<std::int64_t> file_bytes;
  std::optional<std::int64_t> address_bytes;
  std::optional<std::int64_t> processes;  // and threads, of the user; also empty where this process is exempt
  std::int64_t running = 0;               // of them, as far as they can be seen
};
// Of this process; its soft limit of open files is raised to `wanted_files` first where the hard limit allows.
ProcessLimits process_limits(std::int64_t wanted_files);
// "ulimit -n 1024, -u unlimited, ...": for a message about a failure that any of them can have caused.
std::string describe(const ProcessLimits& limits);

struct LimitNeeds {
  std::int64_t open_files = 0;
  std::int64_t file_bytes = 0;     // of the largest file that the run writes
  std::int64_t address_bytes = 0;  // of one rank: its memory, libraries and stacks
  std::int64_t processes = 0;      // and threads, of all ranks and what surrounds them
};
// survey: of the run, or an empty one as long as nothing is known of model and data.
LimitNeeds needs_of(const RunConfig& config, const Placement& placement, const Survey& survey);

// One failure (launch_failed: exit 3 before a launch) for every limit below what is needed.
std::vector<Failure> judge_limits(const ProcessLimits& limits, const LimitNeeds& needs);

}  // namespace ftl
