// Where an attempt starts from: the newest complete state, hot or durable, that belongs to this run.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "checkpoints/files.h"
#include "comm/process_spec.h"
#include "failures/result.h"

namespace ftl {

struct ResumeChoice {
  std::string resume_from;  // ProcessSpec::resume_from
  std::int64_t step = 0;
  std::vector<std::string> passed_over;  // damaged checkpoints and why: for the user
};

// Hot state wins over a durable checkpoint of the same step: it needs no disk. Every byte of the chosen one is
// verified.
ResumeChoice newest_state(Files& files, const ProcessSpec& spec);

// `wanted`: a step number or a path (--resume STEP|PATH). checkpoint_corrupt or file_not_found says why it cannot be
// used.
Result<ResumeChoice> named_state(Files& files, const ProcessSpec& spec, const std::string& wanted);

}  // namespace ftl
