#include "trainer/optimizer/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include <fmt/format.h>

namespace ftl {

Result<ScheduleKind> schedule_named(const std::string& name) {
  if (name == "constant" || name == "constant_with_warmup") return ScheduleKind::constant;
  if (name == "linear") return ScheduleKind::linear;
  if (name == "cosine") return ScheduleKind::cosine;
  return Failure{FaultKind::config_invalid_value,
                 fmt::format("lr_scheduler_type is \"{}\", must be constant, linear or cosine", name),
                 "lr_scheduler_type", ""};
}

std::int64_t warmup_of(std::int64_t warmup_steps, double warmup_ratio, std::int64_t total_steps) {
  if (warmup_steps > 0) return warmup_steps;
  return static_cast<std::int64_t>(std::ceil(warmup_ratio * static_cast<double>(total_steps)));
}

double learning_rate_multiplier(const Schedule& schedule, std::int64_t index) {
  const auto at = static_cast<double>(index);
  const auto warmup = static_cast<double>(schedule.warmup_steps);
  if (index < schedule.warmup_steps) return at / std::max(1.0, warmup);
  if (schedule.kind == ScheduleKind::constant) return 1.0;
  const auto total = static_cast<double>(schedule.total_steps);
  const double rest = std::max(1.0, total - warmup);
  if (schedule.kind == ScheduleKind::linear) return std::max(0.0, (total - at) / rest);
  const double progress = (at - warmup) / rest;
  return std::max(0.0, 0.5 * (1.0 + std::cos(std::numbers::pi * progress)));
}

}  // namespace ftl
