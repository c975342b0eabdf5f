// Node-local state of runs: <base>/ftl-<uid>/<run id>/, where rings, hot state and specs lie. It outlives processes on
// purpose, so somebody must take it away: the next start does, and `ftlaunch clean`.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "comm/rank.h"
#include "failures/result.h"

namespace ftl {

// A place where node-local state can lie, as it is now.
struct StatePlace {
  std::string base;
  std::int64_t free = 0;  // bytes; < 0: this user cannot write there
  std::int64_t held = 0;  // bytes that the run occupies there already and uses again, or gives back before it starts
};
// `base` (FTL_STATE_DIR) alone; when it is empty /dev/shm and /var/tmp, first the one where the run already has state:
// hot state elsewhere would be lost to it. `run_id`: "" when the run has none yet. `world`: ranks that will run.
std::vector<StatePlace> look_at_state_places(const std::string& base, const std::string& run_id, int world);
// The first place with room: preflight judges by it and the run goes there. node_state_too_small names all places.
Result<std::string> choose_state_place(const std::vector<StatePlace>& places, std::int64_t bytes_needed);

struct StateDirectoryOptions {
  std::string base;  // as choose_state_place says
  std::string run_id;
  std::string run_directory;  // absolute; written beside, so that leftovers can be judged
};

// Creates <base>/ftl-<uid>/<run id> for this user alone (mode 0700) and marks it as owned by this process. A directory
// there that is not ours or is a link is refused: node_state_too_small.
Result<std::string> claim_state_directory(const StateDirectoryOptions& options);

// Makes <state directory>/attempt-<a>, <state directory>/hot; removes the directories of earlier attempts.
Result<Done> prepare_attempt(const std::string& state_directory, Attempt attempt);

// Removes what dead runs left below `base` (empty: both default places). A run that could still be resumed from its hot
// state keeps it for a day unless `all` is set, the one named `keep` in any case; of others, and of runs whose run
// directory is gone, everything goes. Never takes away what another launcher is claiming at this moment; nor, unless
// `all` is set, what one of another host or container claimed, whose processes cannot be seen from here. Returns the
// paths that were removed.
std::vector<std::string> reclaim_state(const std::string& base, bool all, const std::string& keep = "");

}  // namespace ftl
