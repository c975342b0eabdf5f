// What the run has achieved, across attempts: every step and evaluation is published once, and a restart that goes back
// behind a step which a rank had reported complete is recorded as a loss.
#pragma once

#include <cstdint>
#include <vector>

#include "launcher/supervisor.h"

namespace ftl {

class RunLedger {
 public:
  void begin_attempt();
  std::vector<Command> started(const ReportStarted& report);  // of any rank; the first of an attempt counts
  std::vector<Command> step_completed(const ReportStep& report);
  std::vector<Command> evaluated(const ReportEvaluation& report);

  std::int64_t newest_step() const { return newest_; }  // that any rank has reported complete, or the run resumed from
  std::int64_t steps() const { return steps_; }         // of the whole run, 0 = not known yet

 private:
  bool resumed_ = false;  // this attempt has said where it begins
  std::int64_t published_ = 0;
  std::int64_t newest_ = 0;
  std::int64_t newest_evaluation_ = -1;
  std::int64_t steps_ = 0;
};

}  // namespace ftl
