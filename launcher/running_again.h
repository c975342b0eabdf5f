// The same command in the same directory (contract.md, "Running again"): what is already there decides whether a run
// starts, resumes, is already finished, or is refused. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "configs/run_config.h"
#include "failures/failure.h"

namespace ftl {

// What the run directory says about the run before.
struct PreviousRun {
  std::string state;  // finished | failed | stopped | running (its launcher is dead) ...
  std::int64_t step = 0;
  std::string missing;              // "run.json": the run's own files that are gone; it then counts as interrupted
  std::string lost_result;          // what is wrong with the adapter or model of a finished run; empty: it is whole
  std::optional<RunConfig> config;  // empty when run.json is gone: checkpoints say themselves whose they are
  std::string inputs_hash;
  std::string platform;
  std::vector<std::string> injected;      // --inject texts of the last command
  std::optional<FaultKind> last_verdict;  // of the verdict that ended it; empty when it was interrupted
  std::int64_t last_verdict_step = 0;
  bool last_verdict_retryable = true;
  std::string last_fix;
};

struct NewRun {
  RunConfig config;
  std::string inputs_hash;
  std::string platform;
  std::vector<std::string> injected;
};

enum class StartMode : std::uint8_t { fresh, start_over, resume, already_finished, refused };
struct StartDecision {
  StartMode mode = StartMode::fresh;
  std::string message;              // for the user; may be empty
  std::optional<Failure> failure;   // when refused
  std::int64_t accepted_spike = 0;  // the step that is applied even if its loss jumps again; 0 = none
};

// `made_by`: the platform of the state to resume from. platform_changed when it is another one than `now` (both are
// named); --resume force gives the same bits up and goes on.
std::optional<Failure> judge_platform(const std::string& made_by, const NewRun& now);

StartDecision decide_start(const std::optional<PreviousRun>& previous, const NewRun& now);

}  // namespace ftl
