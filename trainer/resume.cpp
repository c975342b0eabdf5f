#include "trainer/resume.h"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

namespace ftl {
namespace {

constexpr std::string_view hot_prefix = "hot:";

// Ranks of a data-parallel world hold the same values, so any rank's file of this node will do when the own one is
// behind.
Result<TrainerState> restore_hot(const RankContext& context, const ProcessSpec& spec, std::int64_t step,
                                 std::span<const TrainableView> views) {
  const std::int32_t own = context.communicator.rank().value;
  // The state is named, not a file: the launcher then passes over this step's hot state, and no other's.
  Failure none{FaultKind::checkpoint_corrupt, fmt::format("no hot state of step {} is complete on this node", step),
               spec.resume_from, ""};
  // The files may be those of an earlier, larger world.
  const std::int32_t files = std::max(spec.world.value, hot_state_files_at_most);
  for (std::int32_t i = 0; i < files; ++i) {
    const std::string path = spec.hot_state_path(Rank{(own + i) % files});
    Result<TrainerState> state =
        read_hot_state(path, step, views, [&] { context.recorder.heartbeat(context.clock.now()); });
    if (state) return state;
    if (i == 0) none.what += fmt::format("; {}: {}", path, state.error().what);
  }
  return none;
}

}  // namespace

Result<TrainerState> restore(RankContext& context, const ProcessSpec& spec, std::span<const TrainableView> views) {
  if (spec.resume_from.empty()) return TrainerState{};
  Result<TrainerState> state = TrainerState{};
  if (spec.resume_from.starts_with(hot_prefix)) {
    const std::string_view number = std::string_view(spec.resume_from).substr(hot_prefix.size());
    std::int64_t step = 0;
    if (std::from_chars(number.begin(), number.end(), step).ec != std::errc()) {
      return Failure{FaultKind::internal_error, "resume_from is not a step: " + spec.resume_from, "", ""};
    }
    state = restore_hot(context, spec, step, views);
  } else {
    state = read_checkpoint(context.files, spec.resume_from, views);
  }
  if (!state) return state;
  if (state->run_identity != spec.run_identity) {
    return Failure{FaultKind::run_identity_changed,
                   "the state to resume from belongs to a run of another configuration or other data", spec.resume_from,
                   ""};
  }
  return state;
}

}  // namespace ftl
