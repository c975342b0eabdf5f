// Hot state, damaged. The input is a list of damages of three bytes to a file with two complete saves: a place (u16,
// little-endian) and a byte for it; a place behind the file's end cuts the file there and ends the list. Whatever is
// still taken from the file is one of the two saves, whole.
#include <cstring>

#include "checkpoints/training_state.h"
#include "tests/checkpoints/fresh_directory.h"
#include "tests/checkpoints/some_tensors.h"
#include "tests/fuzz/fuzz_target.h"

namespace ftl {
namespace {

TrainerState state_of(std::int64_t step) {
  TrainerState state{step, 0.5, "identity", "platform"};
  state.recent.push_back({step, false, 1.5, 1, 1e-3, 100, 0.1});
  return state;
}

std::string two_saves(const std::string& path) {
  SomeTensors first(1), second(2);
  Result<HotState> state = HotState::open(path, 3, first.views());
  must(static_cast<bool>(state), "hot state can be made");
  state->save(first.views(), state_of(1));
  state->save(second.views(), state_of(2));
  return get(path);
}

bool run(std::string_view input) {
  static const FreshDirectory directory;
  static const std::string undamaged = two_saves(directory / "undamaged.state");
  std::string file = undamaged;
  for (; input.size() >= 3; input.remove_prefix(3)) {
    const std::size_t place = static_cast<unsigned char>(input[0]) | std::size_t{static_cast<unsigned char>(input[1])}
                                                                         << 8;
    if (place >= file.size()) {
      file.resize(static_cast<unsigned char>(input[2]) * file.size() / 256);
      break;
    }
    file[place] = input[2];
  }
  const std::string path = directory / "damaged.state";
  put(path, file);
  const Result<std::optional<TrainerState>> seen = inspect_hot_state(path);
  if (seen && *seen) {
    const TrainerState& state = **seen;
    must(state.step == 1 || state.step == 2, "only what was saved is seen");
    must(state.run_identity == "identity" && state.recent.size() == 1 && state.recent[0].step == state.step,
         "a state is seen whole");
  }
  for (const int step : {1, 2}) {
    SomeTensors read(0), saved(static_cast<float>(step)), untouched(0);
    const Result<TrainerState> state = read_hot_state(path, step, read.views());
    must(read == (state ? saved : untouched), "values are read whole or not at all");
  }
  SomeTensors tensors(4), read(0);
  Result<HotState> reopened = HotState::open(path, 4, tensors.views());
  must(static_cast<bool>(reopened), "a damaged file can be used again");
  reopened->save(tensors.views(), state_of(9));
  if (read_hot_state(path, 9, read.views())) must(read == tensors, "a save into a damaged file is whole");
  return seen && *seen;
}

const FuzzTarget target("hot_state", run);

}  // namespace
}  // namespace ftl
