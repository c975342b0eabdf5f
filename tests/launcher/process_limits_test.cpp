#include "launcher/verbs/process_limits.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace ftl {
namespace {

using testing::HasSubstr;

constexpr std::int64_t mebibyte = 1 << 20;

Placement two_ranks() {
  RunConfig config;
  config.nodes = 2;
  return place(config, 2);
}

// Processes of a user who has 100.
ProcessLimits limited_to(std::optional<std::int64_t> processes) {
  ProcessLimits limits;
  limits.processes = processes;
  limits.running = 100;
  return limits;
}

TEST(ProcessLimits, OfProcessesCountTheThreadsThatTheUserHasAlready) {
  LimitNeeds needs;
  needs.processes = 12;
  EXPECT_TRUE(judge_limits(limited_to(112), needs).empty());
  const std::vector<Failure> found = judge_limits(limited_to(111), needs);
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].kind, FaultKind::launch_failed);
  EXPECT_THAT(found[0].what, HasSubstr("is 111, but about 112 are needed"));
  EXPECT_EQ(found[0].where, "ulimit -u");
  EXPECT_TRUE(judge_limits(limited_to(std::nullopt), needs).empty()) << "unlimited, or exempt";
}

TEST(ProcessLimits, OfProcessesHaveRoomForRanksKeepersAndMpirun) {
  RunConfig config;
  const LimitNeeds alone = needs_of(config, place(config, 1), {}), two = needs_of(config, two_ranks(), {});
  EXPECT_EQ(alone.processes, 3);  // launcher, keeper, rank
  EXPECT_EQ(two.processes, 1 + 4 + 2 * (1 + 1 + 2));
  config.global_batch_size = 6;
  config.per_device_train_batch_size = 4;  // lanes have a thread each, and no more of them than sequences
  EXPECT_EQ(needs_of(config, two_ranks(), {}).processes, two.processes + 2 * 2);
}

// What was measured of runs with these placements and this plan of memory, and not twice as much.
TEST(ProcessLimits, OfAddressSpaceFollowThePlanOfMemory) {
  Survey survey;
  survey.memory = {{"all of it", 24 * mebibyte, "all"}};
  RunConfig config;
  config.per_device_train_batch_size = 1;
  const std::int64_t alone = needs_of(config, place(config, 1), survey).address_bytes,
                     mpi = needs_of(config, two_ranks(), survey).address_bytes;
  EXPECT_GT(alone, 47 * mebibyte);
  EXPECT_LT(alone, 200 * mebibyte);
  EXPECT_GT(mpi, 273 * mebibyte);
  EXPECT_LT(mpi, 500 * mebibyte);
  survey.memory[0].bytes += 1000 * mebibyte;
  EXPECT_EQ(needs_of(config, place(config, 1), survey).address_bytes, alone + 1000 * mebibyte);
}

}  // namespace
}  // namespace ftl
