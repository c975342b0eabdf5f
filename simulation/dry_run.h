// What a step would be for every rank of a world, walked as data: who is where, who sends what to whom, in which order.
// The same schedule that the ranks follow (exact_sum_transfers), so what is printed is what the flight recorder will
// show.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "comm/exact_sum.h"
#include "comm/rank.h"

namespace ftl {

struct PlannedTransfer {
  enum class Kind : std::uint8_t { send, receive, broadcast_root, broadcast };
  Kind kind;
  Rank peer{0};  // of a send or receive; the root of a broadcast
  std::int64_t bytes = 0;
};

struct PlannedRank {
  Rank rank;
  std::string node;
  LeafRange leaves;                        // of every step
  std::vector<PlannedTransfer> transfers;  // inside the step's one exact_sum, in order
  std::int64_t bytes_sent = 0;
  std::int64_t bytes_received = 0;
};

struct StepPlan {
  std::int64_t leaves = 0;
  std::int64_t count = 0;  // floats in the exact sum: the gradient and what travels behind it
  std::vector<PlannedRank> ranks;
};

StepPlan plan_step(WorldSize world, std::int32_t ranks_per_node, std::int64_t leaves, std::int64_t count);

}  // namespace ftl
