#include "launcher/resume_choice.h"

#include <algorithm>

#include <fmt/format.h>

#include "checkpoints/training_state.h"

namespace ftl {
namespace {

std::string checkpoints_of(const ProcessSpec& spec) { return spec.run_directory + "/checkpoints"; }

std::int64_t newest_hot_step(const ProcessSpec& spec) {
  std::int64_t newest = 0;
  for (std::int32_t rank = 0; rank < std::max(spec.world.value, hot_state_files_at_most); ++rank) {
    Result<std::optional<TrainerState>> state = inspect_hot_state(spec.hot_state_path(Rank{rank}));
    if (state && *state && (*state)->run_identity == spec.run_identity) newest = std::max(newest, (*state)->step);
  }
  return newest;
}

}  // namespace

ResumeChoice newest_state(Files& files, const ProcessSpec& spec) {
  ResumeChoice choice;
  const std::int64_t hot = newest_hot_step(spec);
  if (Result<std::vector<CatalogEntry>> catalog = list_checkpoints(files, checkpoints_of(spec))) {
    for (const CatalogEntry& entry : *catalog) {
      if (entry.checkpoint.step <= hot) break;
      Result<TrainerState> verified =
          entry.damage ? Result<TrainerState>(*entry.damage) : verify_checkpoint(files, entry.checkpoint.directory);
      if (verified && verified->run_identity == spec.run_identity) {
        choice.resume_from = entry.checkpoint.directory;
        choice.step = entry.checkpoint.step;
        return choice;
      }
      choice.passed_over.push_back(fmt::format("checkpoint of step {} is passed over: {}", entry.checkpoint.step,
                                               verified ? "it belongs to another run" : verified.error().what));
    }
  }
  if (hot > 0) {
    choice.resume_from = fmt::format("hot:{}", hot);
    choice.step = hot;
  }
  return choice;
}

Result<ResumeChoice> named_state(Files& files, const ProcessSpec& spec, const std::string& wanted) {
  const bool is_step = !wanted.empty() && std::ranges::all_of(wanted, [](char c) { return c >= '0' && c <= '9'; });
  const std::string directory = is_step ? checkpoints_of(spec) + "/step-" + wanted : wanted;
  if (!files.exists(directory)) {
    return Failure{FaultKind::file_not_found, "there is no checkpoint " + directory, "--resume " + wanted,
                   "`ls` of checkpoints/ shows which steps are there"};
  }
  Result<TrainerState> verified = verify_checkpoint(files, directory);
  if (!verified) return verified.error();
  if (verified->run_identity != spec.run_identity) {
    return Failure{FaultKind::run_identity_changed,
                   "the checkpoint belongs to a run of another configuration or other data", directory, ""};
  }
  return ResumeChoice{directory, verified->step, {}};
}

}  // namespace ftl
