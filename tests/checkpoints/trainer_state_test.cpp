// TrainerState as text and as a block: both come from files, and neither is believed.
#include "checkpoints/trainer_state.h"

#include <array>

#include <gtest/gtest.h>

namespace ftl {
namespace {

TrainerState example() {
  return {5, 0.5, "identity", "platform", {{4, false, 1.5, 1, 1e-3, 100, 0.1}, {5, true, 1.25, 0, 0, 77, 2}}};
}

std::string replaced(std::string text, const std::string& what, const std::string& with) {
  EXPECT_NE(text.find(what), std::string::npos) << what;
  return text.replace(text.find(what), what.size(), with);
}

TEST(TrainerState, IsTheSameFromTextAndFromABlock) {
  std::array<std::byte, state_block_bytes> block;
  ASSERT_TRUE(pack(example(), block));
  EXPECT_EQ(to_json(*unpack(block)), to_json(example()));
  EXPECT_EQ(to_json(*trainer_state_from_json(to_json(example()))), to_json(example()));
}

TEST(TrainerState, DeepNestingIsGarbageAndNeverACrash) {
  const std::string deep = std::string(200'000, '[') + std::string(200'000, ']');
  const std::string text = to_json(example());
  EXPECT_FALSE(trainer_state_from_json(replaced(text, "\"ftlaunch.trainer_state/1\"", deep)));
  EXPECT_FALSE(trainer_state_from_json(replaced(text, "0.5", deep)));
  const auto state = trainer_state_from_json(replaced(text, "1.5", deep));
  ASSERT_TRUE(state);
  EXPECT_EQ(state->recent.size(), 2u);
}

TEST(TrainerState, RecordsWhoseNumbersCannotBeAreLeftOut) {
  const std::string text = to_json(example());
  for (const char* number : {"-100", "18446744073709551615", "1.5"})
    EXPECT_EQ(trainer_state_from_json(replaced(text, "100", number))->recent.size(), 1u) << number;
}

TEST(TrainerState, HoldsARecordOnceWhereverItIsReadFrom) {
  TrainerState twice = example();
  twice.recent.push_back(twice.recent[0]);
  std::array<std::byte, state_block_bytes> block;
  ASSERT_TRUE(pack(twice, block));
  EXPECT_EQ(unpack(block)->recent.size(), 2u);
  EXPECT_EQ(trainer_state_from_json(to_json(twice))->recent.size(), 2u);
}

TEST(TrainerState, ABlockWhoseRecordsCannotBeIsGarbage) {
  std::array<std::byte, state_block_bytes> good;
  ASSERT_TRUE(pack(example(), good));
  const std::size_t records = 8 + 8 + 8 + 8 + 2000 + 2000 + 8;  // where the first record's step is
  for (const std::size_t place : {records + 7, records + 8, records + 5 * 8 + 7}) {
    std::array<std::byte, state_block_bytes> block = good;
    block[place] = std::byte{0x80};
    EXPECT_FALSE(unpack(block)) << place;
  }
}

}  // namespace
}  // namespace ftl
