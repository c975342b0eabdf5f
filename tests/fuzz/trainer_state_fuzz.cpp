// trainer_state.json, and the state block of hot state. Accepted: it is within its bounds; written again, in either
// form, it is accepted and equal.
#include "checkpoints/trainer_state.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "tests/fuzz/fuzz_target.h"

namespace ftl {
namespace {

void check(const TrainerState& state) {
  must(state.step >= 0 && state.recent.size() <= recent_records_at_most, "a state is within its bounds");
  for (const MetricsRecord& record : state.recent) must(record.step >= 0 && record.tokens >= 0, "records count from 0");
  const std::string json = to_json(state);
  const std::optional<TrainerState> again = trainer_state_from_json(json);
  must(again.has_value(), "a state that is written as JSON is accepted: " + json);
  must(to_json(*again) == json, "a state that is written as JSON is the same");
  std::array<std::byte, state_block_bytes> block, block_again;
  if (!pack(*again, block)) return;
  const std::optional<TrainerState> unpacked = unpack(block);
  must(unpacked && to_json(*unpacked) == json, "a state that is packed is the same");
  must(pack(*unpacked, block_again) && block == block_again, "a state has one block");
}

bool run(std::string_view input) {
  const auto from_text = trainer_state_from_json(std::string(input));
  if (from_text) check(*from_text);
  std::array<std::byte, state_block_bytes> block{};
  std::memcpy(block.data(), input.data(), std::min(input.size(), block.size()));
  const auto from_block = unpack(block);
  if (from_block) check(*from_block);
  return from_text || from_block;
}

const FuzzTarget target("trainer_state", run);

}  // namespace
}  // namespace ftl
