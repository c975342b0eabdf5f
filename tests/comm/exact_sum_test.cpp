#include "comm/exact_sum.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>
#include <cstdint>
#include <map>
#include <vector>

#include "simulation/world.h"

namespace ftl {
namespace {

constexpr std::int64_t count = 3;

// Values whose float32 sum depends on the order of additions: mixed magnitudes and signs.
float leaf_value(std::int64_t leaf, std::int64_t element) {
  const auto mixed = static_cast<std::uint32_t>((leaf * 2654435761 + element * 40503 + 12345) & 0xffffffff);
  const float magnitude = std::bit_cast<float>((mixed & 0x807fffffu) | ((120u + mixed % 17u) << 23));
  return magnitude;
}

// The specification, word for word: split at lo + ceil((hi - lo) / 2), left + right.
std::vector<float> sum_of(std::int64_t lo, std::int64_t hi) {
  std::vector<float> left(count);
  if (hi - lo == 1) {
    for (std::int64_t i = 0; i < count; ++i) left[static_cast<std::size_t>(i)] = leaf_value(lo, i);
    return left;
  }
  const std::int64_t split = lo + (hi - lo + 1) / 2;
  left = sum_of(lo, split);
  const std::vector<float> right = sum_of(split, hi);
  for (std::size_t i = 0; i < left.size(); ++i) left[i] += right[i];
  return left;
}

std::vector<std::uint32_t> bits(std::span<const float> values) {
  std::vector<std::uint32_t> all;
  for (const float value : values) all.push_back(std::bit_cast<std::uint32_t>(value));
  return all;
}

const AwaitLimits limits{std::chrono::seconds(10)};

struct OneRank {
  std::vector<std::vector<std::uint32_t>> totals;  // by step
  std::int64_t buffers_after_first_step = 0;
  std::int64_t buffers = 0;
  RingSnapshot ring;
};

std::vector<OneRank> run_world(std::int32_t world, std::int64_t leaves, int steps) {
  std::vector<OneRank> ranks(static_cast<std::size_t>(world));
  simulation::World simulated(WorldSize{world});
  simulated.run([&](simulation::Place place) {
    OneRank& mine = ranks[static_cast<std::size_t>(place.rank.value)];
    FlightRecorder recorder = FlightRecorder::in_memory(place.rank, Attempt{1});
    ExactSum sum(place.rank, WorldSize{world}, leaves, count);
    const LeafRange range = leaves_of(place.rank, WorldSize{world}, leaves);
    for (int step = 0; step < steps; ++step) {
      for (std::int64_t leaf = range.begin; leaf < range.end; ++leaf) {
        const std::span<float> values = sum.next_leaf();
        for (std::int64_t i = 0; i < count; ++i) values[static_cast<std::size_t>(i)] = leaf_value(leaf, i);
        sum.add_leaf(leaf);
      }
      const Result<std::span<float>> total = sum.finish(place.communicator, recorder, place.clock, limits, Step{step});
      ASSERT_TRUE(total) << describe(total.error());
      mine.totals.push_back(bits(*total));
      if (step == 0) mine.buffers_after_first_step = sum.buffers_allocated();
    }
    mine.buffers = sum.buffers_allocated();
    mine.ring = recorder.snapshot();
  });
  return ranks;
}

TEST(ExactSum, HasTheSameBitsForEveryWorldAndEqualsTheRecursion) {
  for (std::int64_t leaves = 1; leaves <= 33; ++leaves) {
    const std::vector<std::uint32_t> expected = bits(sum_of(0, leaves));
    for (std::int32_t world = 1; world <= 9; ++world) {
      const std::vector<OneRank> ranks = run_world(world, leaves, 2);
      for (const OneRank& rank : ranks) {
        ASSERT_THAT(rank.totals, testing::ElementsAre(expected, expected))
            << world << " ranks, " << leaves << " leaves";
      }
    }
  }
}

TEST(ExactSum, TestValuesWouldShowAnotherOrderOfAdditions) {
  std::vector<float> in_order(count);
  for (std::int64_t leaf = 0; leaf < 33; ++leaf) {
    for (std::int64_t i = 0; i < count; ++i) in_order[static_cast<std::size_t>(i)] += leaf_value(leaf, i);
  }
  EXPECT_NE(bits(in_order), bits(sum_of(0, 33)));
}

TEST(ExactSum, NeedsNoMoreBuffersThanTheMemoryPlanSaysAndNoneAfterTheFirstStep) {
  for (std::int64_t leaves = 1; leaves <= 70; ++leaves) {
    for (std::int32_t world = 1; world <= 9; ++world) {
      const std::int64_t most = leaves_of(Rank{0}, WorldSize{world}, leaves).end;
      for (const OneRank& rank : run_world(world, leaves, 2)) {
        ASSERT_LE(rank.buffers, exact_sum_buffers(most, leaves)) << world << " ranks, " << leaves << " leaves";
        ASSERT_EQ(rank.buffers, rank.buffers_after_first_step);
      }
    }
  }
  EXPECT_LE(exact_sum_buffers(1024, 1024), 2 * 10 + 1);
}

TEST(ExactSum, IsOneCollectiveForTheRecorder) {
  const std::vector<OneRank> ranks = run_world(4, 10, 3);
  for (const OneRank& rank : ranks) {
    EXPECT_EQ(rank.ring.collectives_started, 3u);
    EXPECT_EQ(rank.ring.collectives_completed, 3u);
    ASSERT_EQ(rank.ring.recent.size(), 6u);
    EXPECT_EQ(rank.ring.recent[4].signature, (CollectiveSignature{Operation::exact_sum, DType::f32, count, 0, 2}));
  }
}

TEST(ExactSum, FailsWithinTheLimitAtEveryoneWhoWaitsForALostRank) {
  simulation::World world(WorldSize{4});
  world.lose(Rank{2}, TimePoint{});
  std::map<std::int32_t, FaultKind> failures;
  const std::vector<simulation::Ending> endings = world.run([&](simulation::Place place) {
    FlightRecorder recorder = FlightRecorder::in_memory(place.rank, Attempt{1});
    ExactSum sum(place.rank, WorldSize{4}, 4, count);
    sum.next_leaf()[0] = 1;
    sum.add_leaf(place.rank.value);
    const Result<std::span<float>> total = sum.finish(place.communicator, recorder, place.clock, limits, Step{0});
    if (!total) failures[place.rank.value] = total.error().kind;
    EXPECT_EQ(recorder.snapshot().collectives_completed, 0u);
  });
  EXPECT_EQ(endings[2], simulation::Ending::lost);
  EXPECT_THAT(failures, testing::ElementsAre(testing::Pair(0, FaultKind::communication_failure),
                                             testing::Pair(1, FaultKind::communication_failure),
                                             testing::Pair(3, FaultKind::communication_failure)));
}

TEST(LeavesOf, CoversAllLeavesInOrderWithSizesThatDifferByAtMostOne) {
  for (std::int64_t leaves = 0; leaves <= 40; ++leaves) {
    for (std::int32_t world = 1; world <= 12; ++world) {
      std::int64_t next = 0;
      for (std::int32_t rank = 0; rank < world; ++rank) {
        const LeafRange range = leaves_of(Rank{rank}, WorldSize{world}, leaves);
        ASSERT_EQ(range.begin, next);
        ASSERT_THAT(range.end - range.begin, testing::AnyOf(leaves / world, (leaves + world - 1) / world));
        next = range.end;
      }
      ASSERT_EQ(next, leaves);
    }
  }
}

TEST(ExactSumTransfers, SendEveryNodeFromTheOwnerOfItsFirstLeafToAnEarlierRank) {
  for (std::int64_t leaves = 1; leaves <= 33; ++leaves) {
    for (std::int32_t world = 1; world <= 9; ++world) {
      for (const NodeTransfer& transfer : exact_sum_transfers(WorldSize{world}, leaves)) {
        const LeafRange owned = leaves_of(transfer.from, WorldSize{world}, leaves);
        ASSERT_TRUE(owned.begin <= transfer.node.begin && transfer.node.begin < owned.end);
        ASSERT_LT(transfer.to.value, transfer.from.value);
      }
    }
  }
}

TEST(ExactSumTransfers, AreTheTreesTopWhenRanksOwnWholeNodes) {
  const std::vector<NodeTransfer> expected{
      {{4, 8}, Rank{1}, Rank{0}}, {{12, 16}, Rank{3}, Rank{2}}, {{8, 16}, Rank{2}, Rank{0}}};
  EXPECT_EQ(exact_sum_transfers(WorldSize{4}, 16), expected);
  EXPECT_TRUE(exact_sum_transfers(WorldSize{1}, 16).empty());
}

}  // namespace
}  // namespace ftl
