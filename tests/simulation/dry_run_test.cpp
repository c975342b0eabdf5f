#include "simulation/dry_run.h"

#include <gtest/gtest.h>

namespace ftl {
namespace {

using Kind = PlannedTransfer::Kind;

TEST(DryRun, GivesEverySequenceToOneRankInOrder) {
  for (int world = 1; world <= 9; ++world) {
    const StepPlan plan = plan_step(WorldSize{world}, 2, 7, 100);
    std::int64_t next = 0;
    for (const PlannedRank& rank : plan.ranks) {
      EXPECT_EQ(rank.leaves.begin, next);
      next = rank.leaves.end;
    }
    EXPECT_EQ(next, 7);
  }
}

TEST(DryRun, EverySendHasItsReceiveAndOneRankBroadcasts) {
  for (int world = 2; world <= 9; ++world) {
    const StepPlan plan = plan_step(WorldSize{world}, 1, 16, 10);
    int sends = 0, receives = 0, roots = 0;
    for (const PlannedRank& rank : plan.ranks) {
      for (const PlannedTransfer& transfer : rank.transfers) {
        sends += transfer.kind == Kind::send;
        receives += transfer.kind == Kind::receive;
        roots += transfer.kind == Kind::broadcast_root;
        EXPECT_EQ(transfer.bytes, 40);
      }
    }
    EXPECT_EQ(sends, receives);
    EXPECT_GE(sends, world - 1);
    EXPECT_EQ(roots, 1);
  }
}

TEST(DryRun, AWorldOfOneTransfersNothing) {
  const StepPlan plan = plan_step(WorldSize{1}, 1, 8, 10);
  EXPECT_TRUE(plan.ranks[0].transfers.empty());
}

TEST(DryRun, PlacesRanksOnNodesInOrder) {
  const StepPlan plan = plan_step(WorldSize{4}, 2, 8, 10);
  EXPECT_EQ(plan.ranks[1].node, "local-0");
  EXPECT_EQ(plan.ranks[2].node, "local-1");
}

}  // namespace
}  // namespace ftl
