// Node-local state of runs: <base>/ftl-<uid>/<run id>/, where rings, hot state and specs lie. It outlives processes on
// purpose, so somebody must take it away: the next start does, and `ftlaunch clean`.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "comm/rank.h"
#include "failures/result.h"

namespace ftl {

struct StateDirectoryOptions {
  std::string base;  // FTL_STATE_DIR; empty: /dev/shm, or /var/tmp when there is too little room
  std::string run_id;
  std::string run_directory;      // absolute; written beside, so that leftovers can be judged
  std::int64_t bytes_needed = 0;  // rings, hot state, shared memory of the MPI library
};

// Creates <base>/ftl-<uid>/<run id> for this user alone (mode 0700) and marks it as owned by this process. A directory
// there that is not ours or is a link is refused. Failure node_state_too_small: with both numbers.
Result<std::string> claim_state_directory(const StateDirectoryOptions& options);

// Makes <state directory>/attempt-<a>, <state directory>/hot; removes the directories of earlier attempts.
Result<Done> prepare_attempt(const std::string& state_directory, Attempt attempt);

// Removes what dead runs left below `base` (empty: both default places). A run that could still be resumed from its hot
// state keeps it for a day unless `all` is set; of others, and of runs whose run directory is gone, everything goes.
// Returns the paths that were removed.
std::vector<std::string> reclaim_state(const std::string& base, bool all);

}  // namespace ftl
