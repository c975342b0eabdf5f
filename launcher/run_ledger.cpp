#include "launcher/run_ledger.h"

#include <fmt/format.h>

#include <algorithm>

namespace ftl {

void RunLedger::begin_attempt() { resumed_ = false; }

std::vector<Command> RunLedger::started(const ReportStarted& report) {
  std::vector<Command> commands;
  steps_ = std::max(steps_, report.steps);
  if (resumed_ || report.resumed_step < 0) return commands;
  resumed_ = true;
  commands.push_back(DropStepsBeyond{report.resumed_step});
  commands.push_back(PublishEvent{"resumed", fmt::format("from step {} of {}", report.resumed_step, report.steps)});
  if (report.resumed_step < newest_) {
    commands.push_back(PublishEvent{"steps_lost", fmt::format("steps {} to {} were complete and are executed again",
                                                              report.resumed_step + 1, newest_)});
  }
  published_ = report.resumed_step;
  newest_ = std::max(newest_, report.resumed_step);
  newest_evaluation_ = std::min(newest_evaluation_, report.resumed_step);
  return commands;
}

std::vector<Command> RunLedger::step_completed(const ReportStep& report) {
  newest_ = std::max(newest_, report.step);
  if (report.step <= published_) return {};
  published_ = report.step;
  return {PublishStep{report}};
}

std::vector<Command> RunLedger::evaluated(const ReportEvaluation& report) {
  if (report.step <= newest_evaluation_) return {};
  newest_evaluation_ = report.step;
  return {PublishEvaluation{report}};
}

}  // namespace ftl
