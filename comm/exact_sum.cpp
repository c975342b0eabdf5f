#include "comm/exact_sum.h"

#include <algorithm>
#include <bit>
#include <cassert>
#include <utility>

namespace ftl {

namespace {

std::int64_t middle(LeafRange node) { return node.begin + (node.end - node.begin + 1) / 2; }

Rank owner_of(std::int64_t leaf, WorldSize world, std::int64_t leaves) {
  const std::int64_t small = leaves / world.value, larger = leaves % world.value;  // `larger` ranks have one more
  const std::int64_t in_larger = larger * (small + 1);
  if (leaf < in_larger) return Rank{static_cast<std::int32_t>(leaf / (small + 1))};
  return Rank{static_cast<std::int32_t>(larger + (leaf - in_larger) / small)};
}

// Calls visit(left, right, owner of left, owner of right) for every node that spans ranks, children before parents.
template <class Visit>
void for_each_spanning_node(LeafRange node, WorldSize world, std::int64_t leaves, const Visit& visit) {
  const Rank first = owner_of(node.begin, world, leaves);
  if (first == owner_of(node.end - 1, world, leaves)) return;
  const LeafRange left{node.begin, middle(node)}, right{middle(node), node.end};
  for_each_spanning_node(left, world, leaves, visit);
  for_each_spanning_node(right, world, leaves, visit);
  visit(left, right, first, owner_of(right.begin, world, leaves));
}

// Whether `left` and `right` are the two children of one node of the tree over `leaves`.
bool siblings(LeafRange left, LeafRange right, std::int64_t leaves) {
  LeafRange node{0, leaves};
  while (node.begin != left.begin || node.end != right.end) {
    if (node.end - node.begin <= right.end - left.begin) return false;
    const std::int64_t split = middle(node);
    if (right.end <= split) {
      node.end = split;
    } else if (left.begin >= split) {
      node.begin = split;
    } else {
      return false;
    }
  }
  return left.end == right.begin && left.end == middle(node);
}

// The addition of the tree: left + right, element by element.
void add_into(std::vector<float>& left, const std::vector<float>& right) {
  for (std::size_t i = 0; i < left.size(); ++i) left[i] = left[i] + right[i];
}

}  // namespace

LeafRange leaves_of(Rank rank, WorldSize world, std::int64_t leaves) {
  const std::int64_t small = leaves / world.value, larger = leaves % world.value;
  const std::int64_t begin = rank.value * small + std::min<std::int64_t>(rank.value, larger);
  return {begin, begin + small + (rank.value < larger ? 1 : 0)};
}

std::int64_t exact_sum_buffers(std::int64_t leaves_of_rank_max, std::int64_t leaves) {
  const std::int64_t m = std::min(leaves_of_rank_max, leaves);
  const auto log2_up =
      static_cast<std::int64_t>(std::bit_width(static_cast<std::uint64_t>(std::max<std::int64_t>(m, 1) - 1)));
  return std::min(m, std::max<std::int64_t>(2 * log2_up, 1)) + 1;
}

std::vector<NodeTransfer> exact_sum_transfers(WorldSize world, std::int64_t leaves) {
  std::vector<NodeTransfer> transfers;
  if (leaves < 1) return transfers;
  for_each_spanning_node({0, leaves}, world, leaves, [&](LeafRange, LeafRange right, Rank to, Rank from) {
    if (from != to) transfers.push_back({right, from, to});
  });
  return transfers;
}

ExactSum::ExactSum(Rank rank, WorldSize world, std::int64_t leaves, std::int64_t count)
    : rank_(rank),
      world_(world),
      leaves_(leaves),
      count_(count),
      mine_(leaves_of(rank, world, leaves)),
      next_leaf_(mine_.begin) {
  assert(leaves >= 1 && count >= 0 && rank.value >= 0 && rank.value < world.value);
  for_each_spanning_node({0, leaves}, world, leaves, [&](LeafRange left, LeafRange right, Rank to, Rank from) {
    if (to == rank_ || from == rank_) merges_.push_back({left, right, to, from});
  });
  const auto buffers = static_cast<std::size_t>(exact_sum_buffers(mine_.end - mine_.begin, leaves)) + 1;
  nodes_.reserve(buffers);
  free_.reserve(buffers);
}

std::span<float> ExactSum::next_leaf() {
  if (finished_) start_over();
  assert(next_leaf_ < mine_.end);
  if (leaf_.empty()) leaf_ = take_buffer();
  return leaf_;
}

void ExactSum::add_leaf([[maybe_unused]] std::int64_t leaf) {
  assert(leaf == next_leaf_ && leaf < mine_.end && std::ssize(leaf_) == count_);
  nodes_.push_back({{next_leaf_, next_leaf_ + 1}, std::exchange(leaf_, {})});
  ++next_leaf_;
  merge_finished_siblings();
}

Result<std::span<float>> ExactSum::finish(Communicator& communicator, FlightRecorder& recorder, Clock& clock,
                                          const AwaitLimits& limits, Step step) {
  if (finished_) start_over();  // a rank without leaves has called no next_leaf()
  assert(next_leaf_ == mine_.end);
  const std::uint64_t collective = recorder.collective_started(
      {Operation::exact_sum, DType::f32, static_cast<std::uint64_t>(count_), 0, step.value}, clock.now());
  finished_ = true;
  if (Result<Done> exchanged = exchange(communicator, recorder, clock, limits); !exchanged) return exchanged.error();
  recorder.collective_completed(collective, clock.now());
  return std::span<float>(nodes_.front().values);
}

std::int64_t ExactSum::buffers_allocated() const { return buffers_; }

std::vector<float> ExactSum::take_buffer() {
  if (free_.empty()) {
    ++buffers_;
    return std::vector<float>(static_cast<std::size_t>(count_));
  }
  std::vector<float> buffer = std::move(free_.back());
  free_.pop_back();
  return buffer;
}

ExactSum::Node ExactSum::take_node(LeafRange range) {
  const auto found = std::find_if(nodes_.begin(), nodes_.end(), [&](const Node& node) { return node.range == range; });
  assert(found != nodes_.end());
  Node node = std::move(*found);
  nodes_.erase(found);
  return node;
}

void ExactSum::put_node(Node node) {
  const auto after =
      std::find_if(nodes_.begin(), nodes_.end(), [&](const Node& n) { return n.range.begin > node.range.begin; });
  nodes_.insert(after, std::move(node));
}

void ExactSum::merge_finished_siblings() {
  while (nodes_.size() >= 2) {
    Node& left = nodes_[nodes_.size() - 2];
    Node& right = nodes_.back();
    if (!siblings(left.range, right.range, leaves_)) return;
    add_into(left.values, right.values);
    left.range.end = right.range.end;
    free_.push_back(std::move(right.values));
    nodes_.pop_back();
  }
}

Result<Done> ExactSum::exchange(Communicator& communicator, FlightRecorder& recorder, Clock& clock,
                                const AwaitLimits& limits) {
  for (const Merge& merge : merges_) {
    if (Result<Done> done = carry_out(merge, communicator, clock, limits); !done) return done;
    recorder.heartbeat(clock.now());
  }
  if (world_.value == 1) return Done{};
  if (rank_ != Rank{0}) put_node({{0, leaves_}, take_buffer()});
  assert(nodes_.size() == 1 && (nodes_.front().range == LeafRange{0, leaves_}));
  const TensorView total{nodes_.front().values.data(), count_, DType::f32, Place::host};
  const Result<Ticket> ticket = communicator.start_broadcast(world_group(world_), total, Rank{0}, {});
  return ticket ? await(communicator, *ticket, clock, limits) : Result<Done>(ticket.error());
}

Result<Done> ExactSum::carry_out(const Merge& merge, Communicator& communicator, Clock& clock,
                                 const AwaitLimits& limits) {
  if (merge.left_owner != rank_) {
    Node node = take_node(merge.right);
    const Result<Ticket> ticket =
        communicator.start_send({node.values.data(), count_, DType::f32, Place::host}, merge.left_owner, {});
    Result<Done> sent = ticket ? await(communicator, *ticket, clock, limits) : Result<Done>(ticket.error());
    if (sent) free_.push_back(std::move(node.values));
    return sent;
  }
  Node left = take_node(merge.left);
  Node right = merge.right_owner == rank_ ? take_node(merge.right) : Node{merge.right, take_buffer()};
  if (merge.right_owner != rank_) {
    const Result<Ticket> ticket =
        communicator.start_receive({right.values.data(), count_, DType::f32, Place::host}, merge.right_owner, {});
    if (Result<Done> received = ticket ? await(communicator, *ticket, clock, limits) : Result<Done>(ticket.error());
        !received) {
      return received;
    }
  }
  add_into(left.values, right.values);
  left.range.end = merge.right.end;
  free_.push_back(std::move(right.values));
  put_node(std::move(left));
  return Done{};
}

void ExactSum::start_over() {
  for (Node& node : nodes_) free_.push_back(std::move(node.values));
  nodes_.clear();
  next_leaf_ = mine_.begin;
  finished_ = false;
}

}  // namespace ftl
