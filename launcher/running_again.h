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
  RunConfig config;
  std::string inputs_hash;
  std::vector<std::string> injected;      // --inject texts of the last command
  std::optional<FaultKind> last_verdict;  // of the verdict that ended it; empty when it was interrupted
  bool last_verdict_retryable = true;
  std::string last_fix;
};

struct NewRun {
  RunConfig config;
  std::string inputs_hash;
  std::vector<std::string> injected;
};

enum class StartMode : std::uint8_t { fresh, start_over, resume, already_finished, refused };
struct StartDecision {
  StartMode mode = StartMode::fresh;
  std::string message;             // for the user; may be empty
  std::optional<Failure> failure;  // when refused
};

StartDecision decide_start(const std::optional<PreviousRun>& previous, const NewRun& now);

}  // namespace ftl
