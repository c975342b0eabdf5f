#include "simulation/dry_run.h"

namespace ftl {
namespace {

using Kind = PlannedTransfer::Kind;

void add(PlannedRank& rank, Kind kind, Rank peer, std::int64_t bytes) {
  rank.transfers.push_back({kind, peer, bytes});
  const bool sends = kind == Kind::send || kind == Kind::broadcast_root;
  (sends ? rank.bytes_sent : rank.bytes_received) += bytes;
}

}  // namespace

StepPlan plan_step(WorldSize world, std::int32_t ranks_per_node, std::int64_t leaves, std::int64_t count) {
  StepPlan plan{leaves, count, {}};
  const std::int64_t bytes = count * static_cast<std::int64_t>(sizeof(float));
  for (std::int32_t i = 0; i < world.value; ++i) {
    plan.ranks.push_back(
        {Rank{i}, "local-" + std::to_string(i / ranks_per_node), leaves_of(Rank{i}, world, leaves), {}, 0, 0});
  }
  for (const NodeTransfer& transfer : exact_sum_transfers(world, leaves)) {
    add(plan.ranks[static_cast<std::size_t>(transfer.from.value)], Kind::send, transfer.to, bytes);
    add(plan.ranks[static_cast<std::size_t>(transfer.to.value)], Kind::receive, transfer.from, bytes);
  }
  if (world.value > 1) {
    for (PlannedRank& rank : plan.ranks) {
      add(rank, rank.rank == Rank{0} ? Kind::broadcast_root : Kind::broadcast, Rank{0}, bytes);
    }
  }
  return plan;
}

}  // namespace ftl
