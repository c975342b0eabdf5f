// Sums that have the same bits for any number of ranks (docs/decisions/001-exact-sums.md).
//
// The leaves of a step (one gradient per sequence) are summed by recursive halving of their index: a node [lo, hi) is
// split at lo + ceil((hi - lo) / 2). That tree depends on the number of leaves alone. A rank owns a contiguous range of
// leaves, so it finishes every node that lies inside its range by itself; nodes that span ranks are finished by the
// owner of their first leaf, who receives the right child and adds it. Each addition is left + right, element by
// element, in float32: the order of additions is the tree's and never the ranks'. The total is broadcast from rank 0.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "comm/await.h"
#include "comm/communicator.h"
#include "comm/flight_recorder.h"

namespace ftl {

struct LeafRange {
  std::int64_t begin = 0;
  std::int64_t end = 0;  // exclusive
  friend bool operator==(LeafRange, LeafRange) = default;
};

// The contiguous leaves of `rank`: sizes differ by at most one, earlier ranks take the larger ones. Empty if world >
// leaves.
LeafRange leaves_of(Rank rank, WorldSize world, std::int64_t leaves);

// The number of buffers of `count` elements that a rank needs at once, at most (for the memory plan). A range of m
// leaves consists of at most 2 ceil(log2 m) finished nodes; besides them there is the leaf being written or the node
// being received.
std::int64_t exact_sum_buffers(std::int64_t leaves_of_rank_max, std::int64_t leaves);

// One point-to-point transfer of a finished node, in the order in which every rank performs those that concern it.
struct NodeTransfer {
  LeafRange node;  // the right child that is sent
  Rank from;
  Rank to;  // owner of the parent's first leaf
  friend bool operator==(const NodeTransfer&, const NodeTransfer&) = default;
};
std::vector<NodeTransfer> exact_sum_transfers(WorldSize world, std::int64_t leaves);

// Accumulates the leaves of one rank, in order, into finished nodes. Buffers are reused from step to step: no
// allocation after the first step of the same shape.
class ExactSum {
 public:
  ExactSum(Rank rank, WorldSize world, std::int64_t leaves, std::int64_t count);
  // The buffer to write the next leaf's values into (count floats; contents undefined). Valid until add_leaf().
  std::span<float> next_leaf();
  // The buffer of next_leaf() holds leaf number `leaf`; leaves come in ascending order within the rank's range.
  void add_leaf(std::int64_t leaf);
  // Collective. Exchanges nodes and returns the total, the same bits on every rank; valid until the next step's first
  // next_leaf(). The whole exchange is one collective (Operation::exact_sum) for the recorder.
  Result<std::span<float>> finish(Communicator& communicator, FlightRecorder& recorder, Clock& clock,
                                  const AwaitLimits& limits, Step step);
  std::int64_t buffers_allocated() const;

 private:
  struct Node {
    LeafRange range;
    std::vector<float> values;
  };
  // A tree node that spans ranks, as far as this rank takes part in finishing it.
  struct Merge {
    LeafRange left, right;
    Rank left_owner, right_owner;
  };

  std::vector<float> take_buffer();
  Node take_node(LeafRange range);
  void put_node(Node node);
  void merge_finished_siblings();
  Result<Done> exchange(Communicator& communicator, FlightRecorder& recorder, Clock& clock, const AwaitLimits& limits);
  Result<Done> carry_out(const Merge& merge, Communicator& communicator, Clock& clock, const AwaitLimits& limits);
  void start_over();

  Rank rank_;
  WorldSize world_;
  std::int64_t leaves_;
  std::int64_t count_;
  LeafRange mine_;
  std::vector<Merge> merges_;  // of this rank, in the order of the tree's recursion
  std::vector<Node> nodes_;    // finished, ascending, disjoint
  std::vector<std::vector<float>> free_;
  std::vector<float> leaf_;
  std::int64_t next_leaf_;  // number that add_leaf() expects
  std::int64_t buffers_ = 0;
  bool finished_ = false;  // nodes_ holds the total of the last step
};

}  // namespace ftl
