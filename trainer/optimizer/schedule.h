// The learning rate as a function of the step: warmup from 0, then a shape. Pure, so a resumed run needs no scheduler
// state. Source: Hugging Face transformers, optimization.py, get_{constant,linear,cosine}_schedule_with_warmup.
#pragma once

#include <cstdint>
#include <string>

#include "failures/result.h"

namespace ftl {

enum class ScheduleKind : std::uint8_t { constant, linear, cosine };

struct Schedule {
  ScheduleKind kind = ScheduleKind::cosine;
  std::int64_t warmup_steps = 0;
  std::int64_t total_steps = 0;
};

// "constant" (also "constant_with_warmup"), "linear", "cosine"; config_invalid_value otherwise.
Result<ScheduleKind> schedule_named(const std::string& name);
// warmup_steps when positive, else ceil(warmup_ratio * total_steps), as transformers'
// TrainingArguments.get_warmup_steps.
std::int64_t warmup_of(std::int64_t warmup_steps, double warmup_ratio, std::int64_t total_steps);
// What the base learning rate is multiplied by in update number `index`, counted from 0: the first update of a warmup
// has 0.
double learning_rate_multiplier(const Schedule& schedule, std::int64_t index);

}  // namespace ftl
