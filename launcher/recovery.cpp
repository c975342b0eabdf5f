#include "launcher/recovery.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

namespace ftl {
namespace {

constexpr double longest_backoff_seconds = 30;

RecoveryDecision stop(std::string why) { return {RecoveryAction::stop, false, Duration{}, std::move(why)}; }

Duration backoff_after(double first_seconds, int restarts) {
  const double wait = std::min(longest_backoff_seconds, first_seconds * std::pow(2.0, std::min(restarts, 30)));
  return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(std::max(0.0, wait)));
}

// A launch that failed has not reached any step, and storage without room waits for somebody to make room: neither says
// anything about the step at which the run stands.
bool is_about_its_step(FaultKind kind) { return kind != FaultKind::launch_failed && kind != FaultKind::storage_full; }

// What two failures of one cause have in common: their facts, in any order, without the numbers (pids, seconds, ports).
std::set<std::string> cause_of(const Verdict& verdict) {
  std::set<std::string> cause;
  for (const EvidenceFact& fact : verdict.evidence) {
    std::string words = fact.fact;
    std::erase_if(words, [](char c) { return c >= '0' && c <= '9'; });
    cause.insert(std::move(words));
  }
  return cause;
}

}  // namespace

Recovery::Recovery(const RecoveryConfig& config, std::int32_t micro_batch, std::vector<FaultSpec> faults,
                   std::int64_t accepted_spike)
    : config_(config), micro_batch_(micro_batch), faults_(std::move(faults)), accepted_spike_(accepted_spike) {}

void Recovery::step_completed(std::int64_t step) {
  if (step <= best_step_) return;
  best_step_ = step;
  restarts_ = 0;
  restarts_at_step_.clear();
  last_launch_cause_.clear();
}

void Recovery::fault_fired(const std::string& text) {
  fired_.insert(text);
  for (FaultSpec& fault : faults_) {
    if (fault.text != text || fault.times <= 0) continue;
    --fault.times;
    return;
  }
}

std::vector<FaultSpec> Recovery::faults_left() const {
  std::vector<FaultSpec> left;
  std::copy_if(faults_.begin(), faults_.end(), std::back_inserter(left),
               [](const FaultSpec& fault) { return fault.times > 0; });
  return left;
}

std::vector<FaultSpec> Recovery::faults_never_fired() const {
  std::vector<FaultSpec> never = faults_left();
  std::erase_if(never, [&](const FaultSpec& fault) { return fired_.contains(fault.text); });
  return never;
}

RecoveryDecision Recovery::retry(RecoveryAction shown, const Verdict& verdict) {
  if (restarts_ >= config_.max_restarts) {
    return stop(
        fmt::format("{} restarts without a new step, recovery.max_restarts is {}", restarts_, config_.max_restarts));
  }
  int& here = restarts_at_step_[verdict.step];
  if (is_about_its_step(verdict.kind) && here >= config_.max_restarts_at_same_step) {
    return stop(fmt::format("{} restarts at step {}, recovery.max_restarts_at_same_step is {}", here, verdict.step,
                            config_.max_restarts_at_same_step));
  }
  if (is_about_its_step(verdict.kind)) ++here;
  const Duration backoff = backoff_after(config_.backoff_seconds, restarts_);
  ++restarts_;
  return {shown, true, backoff,
          fmt::format("restart {} of {} without a new step, in {:.3g} s", restarts_, config_.max_restarts,
                      std::chrono::duration<double>(backoff).count())};
}

RecoveryDecision Recovery::once(RecoveryAction shown, const Verdict& verdict) {
  const auto [seen, first] = last_step_of_kind_.try_emplace(verdict.kind, verdict.step);
  if (!first && seen->second == verdict.step) {
    return stop(fmt::format("the same failure again at step {}: it is deterministic", verdict.step));
  }
  seen->second = verdict.step;
  return retry(shown, verdict);
}

// The same spike from the same bits is no fault of the machine: data or learning rate made it.
RecoveryDecision Recovery::replay(const Verdict& verdict) {
  const auto seen = last_step_of_kind_.find(verdict.kind);
  const bool again = seen != last_step_of_kind_.end() && seen->second == verdict.step;
  if (!again || verdict.kind != FaultKind::loss_spike || config_.loss_spike != "continue")
    return once(RecoveryAction::replay_step, verdict);
  RecoveryDecision decision = retry(RecoveryAction::replay_step, verdict);
  if (!decision.restart) return decision;
  accepted_spike_ = verdict.step + 1;
  decision.why = fmt::format(
      "replayed, step {} has the same spike: its data or the learning rate make it; "
      "recovery.loss_spike is continue, so the step is applied",
      accepted_spike_);
  return decision;
}

RecoveryDecision Recovery::with_less_memory(const Verdict& verdict) {
  if (micro_batch_ <= 1) return stop("per_device_train_batch_size is 1 already");
  RecoveryDecision decision = retry(RecoveryAction::retry_smaller_micro_batch, verdict);
  if (!decision.restart) return decision;
  const std::int32_t before = std::exchange(micro_batch_, micro_batch_ / 2);
  decision.why = fmt::format("per_device_train_batch_size goes from {} to {}; {}", before, micro_batch_, decision.why);
  return decision;
}

RecoveryDecision Recovery::launch_again(const Verdict& verdict) {
  std::set<std::string> cause = cause_of(verdict);
  if (!cause.empty() && cause == last_launch_cause_) return stop("the launch failed twice with the same error");
  last_launch_cause_ = std::move(cause);
  return retry(RecoveryAction::retry, verdict);
}

RecoveryDecision Recovery::decide(const Verdict& verdict) {
  const FaultInfo& fault = info(verdict.kind);
  if (!fault.retryable) return stop("an attempt with nothing changed fails again");
  if (!config_.enabled) {
    const bool gets_past = verdict.kind == FaultKind::loss_spike && config_.loss_spike == "continue";
    return stop(gets_past ? fmt::format("recovery.enabled is false; the same command replays step {}, and applies it "
                                        "even if the spike comes again: recovery.loss_spike is continue",
                                        verdict.step + 1)
                          : "recovery.enabled is false");
  }
  if (verdict.kind == FaultKind::launch_failed) return launch_again(verdict);
  switch (fault.action) {
    case RecoveryAction::observe: return {RecoveryAction::observe, false, Duration{}, "reported only"};
    case RecoveryAction::retry: return retry(RecoveryAction::retry, verdict);
    case RecoveryAction::retry_once: return once(RecoveryAction::retry, verdict);
    case RecoveryAction::replay_step: return replay(verdict);
    case RecoveryAction::previous_checkpoint: return retry(RecoveryAction::previous_checkpoint, verdict);
    case RecoveryAction::retry_smaller_micro_batch: return with_less_memory(verdict);
    case RecoveryAction::stop: return stop("the same command resumes once the cause is gone");
  }
  return stop("");
}

}  // namespace ftl
