#include "launcher/resume_choice.h"

#include <algorithm>
#include <optional>

#include <fmt/format.h>

namespace ftl {
namespace {

std::string checkpoints_of(const ProcessSpec& spec) { return spec.run_directory + "/checkpoints"; }

std::string hot_name(std::int64_t step) { return fmt::format("hot:{}", step); }

// The newest that is not named as damaged: behind a damaged step a file holds the one before it.
std::optional<TrainerState> usable_hot_state(const std::string& path, const std::vector<std::string>& damaged) {
  Result<std::optional<TrainerState>> state = inspect_hot_state(path);
  while (state && *state && is_damaged(hot_name((*state)->step), damaged))
    state = inspect_hot_state(path, (*state)->step);
  return state ? std::move(*state) : std::nullopt;
}

std::optional<TrainerState> newest_hot_state(const ProcessSpec& spec, const std::vector<std::string>& damaged) {
  std::optional<TrainerState> newest;
  for (std::int32_t rank = 0; rank < std::max(spec.world.value, hot_state_files_at_most); ++rank) {
    std::optional<TrainerState> state = usable_hot_state(spec.hot_state_path(Rank{rank}), damaged);
    if (!state || state->run_identity != spec.run_identity) continue;
    if (state->step > (newest ? newest->step : 0)) newest = std::move(state);
  }
  return newest;
}

}  // namespace

bool is_damaged(const std::string& resume_from, const std::vector<std::string>& damaged) {
  return std::ranges::any_of(
      damaged, [&](const std::string& path) { return path == resume_from || path.starts_with(resume_from + "/"); });
}

ResumeChoice newest_state(Files& files, const ProcessSpec& spec, const std::vector<std::string>& damaged) {
  ResumeChoice choice;
  std::optional<TrainerState> hot = newest_hot_state(spec, damaged);
  if (Result<std::vector<CatalogEntry>> catalog = list_checkpoints(files, checkpoints_of(spec))) {
    for (const CatalogEntry& entry : *catalog) {
      if (hot && entry.checkpoint.step <= hot->step) break;
      const auto pass_over = [&](const std::string& why) {
        choice.passed_over.push_back(
            fmt::format("checkpoint of step {} is passed over: {}", entry.checkpoint.step, why));
      };
      if (is_damaged(entry.checkpoint.directory, damaged)) {
        pass_over("a rank could not use it");
        continue;
      }
      Result<TrainerState> verified =
          entry.damage ? Result<TrainerState>(*entry.damage) : verify_checkpoint(files, entry.checkpoint.directory);
      if (verified && verified->run_identity == spec.run_identity) {
        choice.resume_from = entry.checkpoint.directory;
        choice.state = std::move(*verified);
        return choice;
      }
      choice.has_foreign = choice.has_foreign || verified;
      if (!verified) choice.damage.push_back(verified.error());
      pass_over(verified ? "it belongs to another run" : verified.error().what);
    }
  }
  if (hot) {
    choice.resume_from = hot_name(hot->step);
    choice.state = std::move(*hot);
  }
  return choice;
}

Result<ResumeChoice> named_state(Files& files, const ProcessSpec& spec, const std::string& wanted) {
  const bool is_step = !wanted.empty() && std::ranges::all_of(wanted, [](char c) { return c >= '0' && c <= '9'; });
  std::string directory = wanted;
  if (is_step) {  // 010 is step 10
    const std::size_t leading = std::min(wanted.find_first_not_of('0'), wanted.size() - 1);
    directory = checkpoints_of(spec) + "/step-" + wanted.substr(leading);
  }
  if (!files.exists(directory)) {
    return Failure{FaultKind::file_not_found, "there is no checkpoint " + directory, "--resume " + wanted,
                   "`ls` of checkpoints/ shows which steps are there"};
  }
  Result<TrainerState> verified = verify_checkpoint(files, directory);
  if (!verified) {
    return Failure{FaultKind::checkpoint_incomplete, "it is no whole checkpoint: " + verified.error().what,
                   verified.error().where.empty() ? directory : verified.error().where,
                   "name another step of checkpoints/, or leave --resume out: the newest whole state is taken"};
  }
  if (verified->run_identity != spec.run_identity) {
    return Failure{FaultKind::run_identity_changed,
                   "the checkpoint belongs to a run of another configuration or other data", directory, ""};
  }
  return ResumeChoice{directory, std::move(*verified)};
}

}  // namespace ftl
