// What is done about a verdict: restart, restart with less memory, or stop. Restarts are paid from a budget that only
// progress refills, so a run that fails for ever at one place ends, and one that fails now and then does not. Pure.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "comm/clock.h"
#include "comm/process_spec.h"
#include "configs/run_config.h"
#include "failures/verdict.h"

namespace ftl {

struct RecoveryDecision {
  RecoveryAction action = RecoveryAction::stop;  // as written into the verdict: never retry_once
  bool restart = false;
  Duration backoff{};  // to wait after the old attempt is gone
  std::string why;     // one sentence: the budget or rule that decided
};

class Recovery {
 public:
  // `accepted_spike`: the step whose spike the start of the run has accepted already; 0 = none.
  Recovery(const RecoveryConfig& config, std::int32_t micro_batch, std::vector<FaultSpec> faults,
           std::int64_t accepted_spike = 0);

  // A step beyond the best so far refills the budgets; any other is ignored.
  void step_completed(std::int64_t step);
  // A planted fault is about to happen: it uses up one of its `times`.
  void fault_fired(const std::string& text);
  RecoveryDecision decide(const Verdict& verdict);

  std::int32_t micro_batch() const { return micro_batch_; }
  std::int64_t accepted_spike() const { return accepted_spike_; }  // a step; 0 = none
  std::vector<FaultSpec> faults_left() const;                      // that may still fire
  std::vector<FaultSpec> faults_never_fired() const;               // not once

 private:
  RecoveryDecision retry(RecoveryAction shown, const Verdict& verdict);
  RecoveryDecision once(RecoveryAction shown, const Verdict& verdict);
  RecoveryDecision replay(const Verdict& verdict);
  RecoveryDecision with_less_memory(const Verdict& verdict);
  RecoveryDecision launch_again(const Verdict& verdict);

  RecoveryConfig config_;
  std::int32_t micro_batch_;
  std::vector<FaultSpec> faults_;
  std::set<std::string> fired_;  // their texts
  std::int64_t accepted_spike_;
  std::int64_t best_step_ = -1;
  int restarts_ = 0;                                     // since the last progress
  std::map<std::int64_t, int> restarts_at_step_;         // since the last progress
  std::map<FaultKind, std::int64_t> last_step_of_kind_;  // where a kind that is tried once more was last seen
  std::set<std::string> last_launch_cause_;              // without its numbers
};

}  // namespace ftl
