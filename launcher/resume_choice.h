// Where an attempt starts from: the newest complete state, hot or durable, that belongs to this run.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "checkpoints/files.h"
#include "checkpoints/training_state.h"
#include "comm/process_spec.h"
#include "failures/result.h"

namespace ftl {

struct ResumeChoice {
  std::string resume_from;                 // ProcessSpec::resume_from
  TrainerState state{};                    // step 0 when there is nothing to resume from
  std::vector<std::string> passed_over{};  // damaged checkpoints and why: for the user
  std::vector<Failure> damage{};           // checkpoint_corrupt: of those whose files are wrong
  bool has_foreign = false;                // some of them are whole, but of another run
};

// Hot state wins over a durable checkpoint of the same step: it needs no disk. Every byte of the chosen one is
// verified. `damaged`: what ranks could not use although its checksums are right (StartAttempt::pass_over).
ResumeChoice newest_state(Files& files, const ProcessSpec& spec, const std::vector<std::string>& damaged = {});

// Whether ranks found this state (ResumeChoice::resume_from) damaged: they name it, or a file in it.
bool is_damaged(const std::string& resume_from, const std::vector<std::string>& damaged);

// `wanted`: a step number or a path (--resume STEP|PATH). checkpoint_corrupt or file_not_found says why it cannot be
// used.
Result<ResumeChoice> named_state(Files& files, const ProcessSpec& spec, const std::string& wanted);

}  // namespace ftl
