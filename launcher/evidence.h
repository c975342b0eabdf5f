// All that is known about an attempt at the moment something is wrong: plain facts about every rank, none of them
// interpreted. (It holds flight-recorder snapshots, so it lives here and not in failures/, which includes nothing of
// ours.)
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "comm/report.h"
#include "launcher/collective_evidence.h"
#include "launcher/rank_evidence.h"
#include "launcher/watchdog.h"

namespace ftl {

struct RankFacts {
  Rank rank;
  std::string node;
  std::int32_t pid = 0;
  std::int32_t keeper_pid = 0;
  bool connected = false;                // its keeper has connected
  std::optional<Pulse> pulse;            // the newest
  TimePoint pulse_at;                    // when it came
  TimePoint progress_at;                 // last change that the watchdog saw
  std::optional<ReportFailure> failure;  // what the rank said about itself
  TimePoint failure_at;
  std::optional<ReportFinished> finished;
  std::optional<ExitEvidence> exit;
  TimePoint exit_at;
  std::optional<std::string> keeper_lost;  // why its keeper is believed lost
  TimePoint keeper_lost_at;
  std::optional<std::string> connection_lost;  // why; its keeper lived, killed the rank and connected again
  std::int64_t trainable = 0;                  // parameters, as reported at the start
};

struct EngineFacts {
  std::int32_t pid = 0;
  std::optional<ExitStatus> exit;
  TimePoint exit_at;
  std::vector<std::string> last_lines;
};

struct Evidence {
  Attempt attempt{1};
  std::int64_t step = 0;         // the newest step that any rank reported complete
  std::vector<RankFacts> ranks;  // one each, in order
  EngineFacts engine;
  std::vector<Alarm> alarms;
  std::optional<CollectiveMismatch> mismatch;
  std::optional<std::string> stop_reason;  // "SIGINT": ftlaunch was asked to stop
  TimePoint now;
};

// The newest ring of a rank: read after its death if it is dead. Null if none was readable.
const RingSnapshot* ring_of(const RankFacts& rank);

}  // namespace ftl
