#include "launcher/running_again.h"

#include <fmt/format.h>

#include "configs/config_reader.h"

namespace ftl {
namespace {

std::string joined(const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines) text += (text.empty() ? "" : "; ") + line;
  return text;
}

StartDecision refused(Failure failure) { return {StartMode::refused, "", std::move(failure)}; }

std::optional<Failure> identity_change(const PreviousRun& previous, const NewRun& now) {
  if (!previous.config) return std::nullopt;
  std::vector<std::string> changed = identity_differences(*previous.config, now.config);
  if (!previous.inputs_hash.empty() && previous.inputs_hash != now.inputs_hash) {
    changed.push_back("the contents of data, tokenizer or model files");
  }
  if (changed.empty()) return std::nullopt;
  return Failure{FaultKind::run_identity_changed, "this directory holds another run; changed since: " + joined(changed),
                 now.config.output_dir, ""};
}

StartDecision after_verdict(const PreviousRun& previous, const NewRun& now) {
  const std::string name(info(*previous.last_verdict).name);
  std::vector<std::string> changed{"run.json, which is missing"};
  if (previous.config) changed = differences(*previous.config, now.config);
  std::erase_if(changed, [](const std::string& line) { return line.starts_with("resume_from_checkpoint"); });
  if (previous.platform != now.platform) changed.push_back("the binary or instruction set");
  if (previous.injected != now.injected) changed.push_back("the faults planted by --inject");
  // What preflight judges (a file that a rank no longer found, say) it has just judged anew.
  const Stage stage = info(*previous.last_verdict).stage;
  const bool judged_anew = stage == Stage::usage || stage == Stage::preflight;
  if (previous.last_verdict_retryable || judged_anew || !changed.empty() || now.config.resume == "force") {
    const std::string since = changed.empty() ? "nothing changed since" : "changed since: " + joined(changed);
    StartDecision decision{StartMode::resume,
                           fmt::format("the run ended at step {} by {}; {}", previous.step, name, since), std::nullopt};
    // This start is the replay, as a restart would have been: a run that is not restarted gets past the spike too.
    if (previous.last_verdict == FaultKind::loss_spike && now.config.recovery.loss_spike == "continue") {
      decision.accepted_spike = previous.last_verdict_step + 1;
      decision.message +=
          fmt::format("; step {} is replayed, and applied even if its loss jumps again", decision.accepted_spike);
    }
    return decision;
  }
  return refused({FaultKind::not_retryable_again,
                  fmt::format("the run ended at step {} by {}, which a retry cannot mend, and nothing changed since",
                              previous.step, name),
                  now.config.output_dir, previous.last_fix + " (`--resume force` tries all the same)"});
}

}  // namespace

std::optional<Failure> judge_platform(const std::string& made_by, const NewRun& now) {
  if (made_by == now.platform || now.config.resume == "force") return std::nullopt;
  return Failure{FaultKind::platform_changed,
                 fmt::format("the state to resume from was made by {}; now it would be {}", made_by, now.platform),
                 now.config.output_dir,
                 "resume with the binary and the kind of machine named, go on without the promise of the same bits by "
                 "--resume force, or start over by --resume never"};
}

StartDecision decide_start(const std::optional<PreviousRun>& previous, const NewRun& now) {
  if (!previous) return {StartMode::fresh, "", std::nullopt};
  if (now.config.resume == "never") {
    return {StartMode::start_over, fmt::format("the run at step {} is set aside; starting over", previous->step),
            std::nullopt};
  }
  if (auto failure = identity_change(*previous, now)) return refused(*failure);
  const std::string& wanted = now.config.resume;
  if (!wanted.empty() && wanted != "auto" && wanted != "force") {
    return {StartMode::resume, "going back to " + wanted, std::nullopt};
  }
  // Without its record nobody knows what had finished: the checkpoints say whose they are.
  if (previous->state == "finished" && previous->config && previous->lost_result.empty()) {
    return {StartMode::already_finished, fmt::format("this run is finished (step {})", previous->step), std::nullopt};
  }
  if (previous->state == "failed" && previous->last_verdict) return after_verdict(*previous, now);
  if (previous->state == "finished" && !previous->lost_result.empty()) {
    return {StartMode::resume, fmt::format("this run is finished, but {}: it is written again", previous->lost_result),
            std::nullopt};
  }
  if (!previous->missing.empty()) {
    return {StartMode::resume, previous->missing + " of this run cannot be found: it counts as interrupted",
            std::nullopt};
  }
  return {StartMode::resume, fmt::format("resuming a run that was interrupted at step {}", previous->step),
          std::nullopt};
}

}  // namespace ftl
