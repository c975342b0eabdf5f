#include "communicator_conformance.h"

#include <malloc.h>

#include <bit>
#include <cstring>
#include <functional>
#include <span>

#include "comm/await.h"
#include "comm/exact_sum.h"

namespace ftl {
namespace {

using namespace std::chrono_literals;

const AwaitLimits limits{60s};

// Small integers, exact in every dtype and in every order of additions.
std::int64_t value_at(Rank rank, std::int64_t element) { return (rank.value * 3 + element * 5) % 11 + 1; }

class Numbers {
 public:
  Numbers(DType dtype, std::int64_t count)
      : dtype_(dtype), bytes_(static_cast<std::size_t>(count * size_in_bytes(dtype)) + 1), count_(count) {}
  TensorView view() { return {bytes_.data(), count_, dtype_, Place::host}; }
  TensorView part(std::int64_t begin, std::int64_t count) {
    return {bytes_.data() + begin * size_in_bytes(dtype_), count, dtype_, Place::host};
  }
  void set(std::int64_t i, std::int64_t value) {
    switch (dtype_) {
      case DType::f32: return put(i, static_cast<float>(value));
      case DType::i32: return put(i, static_cast<std::int32_t>(value));
      case DType::i64: return put(i, value);
      case DType::u8: return put(i, static_cast<std::uint8_t>(value));
      case DType::bf16:
      case DType::f16: return put(i, static_cast<std::uint16_t>(value));
    }
  }
  std::int64_t get(std::int64_t i) const {
    switch (dtype_) {
      case DType::f32: return static_cast<std::int64_t>(take<float>(i));
      case DType::i32: return take<std::int32_t>(i);
      case DType::i64: return take<std::int64_t>(i);
      case DType::u8: return take<std::uint8_t>(i);
      case DType::bf16:
      case DType::f16: return take<std::uint16_t>(i);
    }
    return 0;
  }
  void fill_as(Rank rank) {
    for (std::int64_t i = 0; i < count_; ++i) set(i, value_at(rank, i));
  }

 private:
  template <class Number>
  void put(std::int64_t i, Number value) {
    std::memcpy(bytes_.data() + i * static_cast<std::int64_t>(sizeof(Number)), &value, sizeof(Number));
  }
  template <class Number>
  Number take(std::int64_t i) const {
    Number value;
    std::memcpy(&value, bytes_.data() + i * static_cast<std::int64_t>(sizeof(Number)), sizeof(Number));
    return value;
  }
  DType dtype_;
  std::vector<std::byte> bytes_;
  std::int64_t count_;
};

// One rank's run through the operations of one group, dtype and size.
struct Check {
  Communicator& communicator;
  Clock& clock;
  Group group;
  DType dtype;
  std::int64_t count;
  std::vector<std::string>& wrong;

  Rank self() const { return communicator.rank(); }
  std::int64_t members() const { return static_cast<std::int64_t>(group.members.size()); }
  std::int64_t own_place() const {
    std::int64_t place = 0;
    while (group.members[static_cast<std::size_t>(place)] != self()) ++place;
    return place;
  }
  bool reduces() const { return dtype != DType::bf16 && dtype != DType::f16; }

  std::string here(const char* what) const {
    return std::string(what) + " of " + std::to_string(count) + " " + name_of(dtype) + " among " +
           std::to_string(members()) + " ranks: ";
  }
  bool finished(const char* what, const Result<Ticket>& ticket) {
    const Result<Done> done = ticket ? await(communicator, *ticket, clock, limits) : Result<Done>(ticket.error());
    if (!done) wrong.push_back(here(what) + done.error().what);
    return done.has_value();
  }
  void expect(const char* what, const Numbers& numbers, std::int64_t elements,
              const std::function<std::int64_t(std::int64_t)>& right) {
    for (std::int64_t i = 0; i < elements; ++i) {
      if (numbers.get(i) == right(i)) continue;
      wrong.push_back(here(what) + "element " + std::to_string(i) + " is " + std::to_string(numbers.get(i)) +
                      ", must be " + std::to_string(right(i)));
      return;
    }
  }

  void all_reduce(ReduceOp op) {
    Numbers numbers(dtype, count);
    numbers.fill_as(self());
    if (!finished("all_reduce", communicator.start_all_reduce(group, numbers.view(), op, {}))) return;
    expect("all_reduce", numbers, count, [&](std::int64_t i) {
      std::int64_t total = value_at(group.members[0], i);
      for (std::size_t m = 1; m < group.members.size(); ++m) {
        const std::int64_t value = value_at(group.members[m], i);
        total = op == ReduceOp::sum   ? total + value
                : op == ReduceOp::max ? std::max(total, value)
                                      : std::min(total, value);
      }
      return total;
    });
  }
  std::int64_t gathered(std::int64_t i) const {
    return value_at(group.members[static_cast<std::size_t>(i / count)], i % count);
  }

  void all_gather(bool in_place) {
    Numbers from(dtype, count), to(dtype, members() * count);
    from.fill_as(self());
    for (std::int64_t i = 0; i < count; ++i) to.set(own_place() * count + i, value_at(self(), i));
    const TensorView source = in_place ? to.part(own_place() * count, count) : from.view();
    if (!finished("all_gather", communicator.start_all_gather(group, source, to.view(), {}))) return;
    expect("all_gather", to, members() * count, [&](std::int64_t i) { return gathered(i); });
  }
  void gather(Rank root, bool in_place) {
    Numbers from(dtype, count), to(dtype, members() * count);
    from.fill_as(self());
    for (std::int64_t i = 0; i < count; ++i) to.set(own_place() * count + i, value_at(self(), i));
    const TensorView source = in_place && self() == root ? to.part(own_place() * count, count) : from.view();
    const TensorView target = self() == root ? to.view() : TensorView{};
    if (!finished("gather", communicator.start_gather(group, source, target, root, {}))) return;
    if (self() == root) expect("gather", to, members() * count, [&](std::int64_t i) { return gathered(i); });
  }
  void reduce_scatter() {
    Numbers from(dtype, members() * count), to(dtype, count);
    from.fill_as(self());
    if (!finished("reduce_scatter", communicator.start_reduce_scatter(group, from.view(), to.view(), {}))) return;
    expect("reduce_scatter", to, count, [&](std::int64_t i) {
      std::int64_t total = 0;
      for (const Rank member : group.members) total += value_at(member, own_place() * count + i);
      return total;
    });
  }
  void broadcast(Rank root) {
    Numbers numbers(dtype, count);
    numbers.fill_as(self());
    if (!finished("broadcast", communicator.start_broadcast(group, numbers.view(), root, {}))) return;
    expect("broadcast", numbers, count, [&](std::int64_t i) { return value_at(root, i); });
  }
  // Everyone sends to the next and receives from the one before, both under way at once.
  void ring() {
    if (members() < 2) return;
    const std::int64_t place = own_place();
    const Rank next = group.members[static_cast<std::size_t>((place + 1) % members())];
    const Rank before = group.members[static_cast<std::size_t>((place + members() - 1) % members())];
    Numbers out(dtype, count), in(dtype, count);
    out.fill_as(self());
    const Result<Ticket> receive = communicator.start_receive(in.view(), before, {});
    const Result<Ticket> send = communicator.start_send(out.view(), next, {});
    if (!finished("receive", receive) || !finished("send", send)) return;
    expect("receive", in, count, [&](std::int64_t i) { return value_at(before, i); });
    if (!communicator.poll(*receive)) wrong.push_back(here("receive") + "a completed ticket cannot be polled again");
  }

  void everything() {
    for (const bool in_place : {false, true}) {
      all_gather(in_place);
      for (const Rank root : {group.members.front(), group.members.back()}) gather(root, in_place);
    }
    for (const Rank root : {group.members.front(), group.members.back()}) broadcast(root);
    ring();
    if (!reduces()) return;
    for (const ReduceOp op : {ReduceOp::sum, ReduceOp::max, ReduceOp::min}) all_reduce(op);
    reduce_scatter();
  }
};

// All ranks, the even ones, the last two, each alone.
std::vector<Group> groups_of(WorldSize world, Rank self) {
  std::vector<Group> groups{world_group(world)};
  Group even;
  for (std::int32_t rank = 0; rank < world.value; rank += 2) even.members.push_back(Rank{rank});
  if (self.value % 2 == 0) groups.push_back(even);
  if (world.value >= 2 && self.value >= world.value - 2)
    groups.push_back({{Rank{world.value - 2}, Rank{world.value - 1}}});
  groups.push_back({{self}});
  return groups;
}

float leaf_value(std::int64_t leaf, std::int64_t element) {
  const auto mixed = static_cast<std::uint32_t>((leaf * 2654435761 + element * 40503 + 977) & 0xffffffff);
  return std::bit_cast<float>((mixed & 0x807fffffu) | ((120u + mixed % 17u) << 23));
}

float sum_of(std::int64_t lo, std::int64_t hi, std::int64_t element) {
  if (hi - lo == 1) return leaf_value(lo, element);
  const std::int64_t split = lo + (hi - lo + 1) / 2;
  const float left = sum_of(lo, split, element);
  return left + sum_of(split, hi, element);
}

}  // namespace

std::vector<std::string> check_communicator(Communicator& communicator, Clock& clock) {
  std::vector<std::string> wrong;
  for (const Group& group : groups_of(communicator.world(), communicator.rank())) {
    for (const DType dtype : {DType::f32, DType::i32, DType::i64, DType::u8, DType::bf16, DType::f16}) {
      for (const std::int64_t count : {1, 3, 64, 20000})
        Check{communicator, clock, group, dtype, count, wrong}.everything();
    }
  }
  return wrong;
}

std::vector<std::string> check_memory(Communicator& communicator, Clock& clock) {
  constexpr std::size_t many = 20'000, allowed = 100'000;  // bytes: 5 an operation
  float value = 0;
  const Group alone{{communicator.rank()}};
  const auto broadcast = [&](std::size_t times) {
    for (std::size_t i = 0; i < times; ++i) {
      const Result<Ticket> ticket =
          communicator.start_broadcast(alone, {&value, 1, DType::f32, Place::host}, communicator.rank(), {});
      if (!ticket || !await(communicator, *ticket, clock, limits)) return false;
    }
    return true;
  };
  if (!broadcast(many / 10)) return {"a broadcast to oneself failed"};  // the library's own pools fill
  const std::size_t before = ::mallinfo2().uordblks;
  if (!broadcast(many)) return {"a broadcast to oneself failed"};
  const std::size_t after = ::mallinfo2().uordblks;
  if (after <= before + allowed) return {};
  return {std::to_string(many) + " complete operations hold " + std::to_string(after - before) + " bytes"};
}

std::vector<std::string> check_exact_sum(Communicator& communicator, Clock& clock) {
  constexpr std::int64_t count = 5000;
  std::vector<std::string> wrong;
  FlightRecorder recorder = FlightRecorder::in_memory(communicator.rank(), Attempt{1});
  for (const std::int64_t leaves : {1, 2, 3, 5, 8, 13, 32}) {
    ExactSum sum(communicator.rank(), communicator.world(), leaves, count);
    const LeafRange mine = leaves_of(communicator.rank(), communicator.world(), leaves);
    for (std::int64_t leaf = mine.begin; leaf < mine.end; ++leaf) {
      const std::span<float> values = sum.next_leaf();
      for (std::int64_t i = 0; i < count; ++i) values[static_cast<std::size_t>(i)] = leaf_value(leaf, i);
      sum.add_leaf(leaf);
    }
    const Result<std::span<float>> total = sum.finish(communicator, recorder, clock, limits, Step{0});
    if (!total) return {"exact_sum of " + std::to_string(leaves) + " leaves: " + total.error().what};
    for (std::int64_t i = 0; i < count; ++i) {
      if (std::bit_cast<std::uint32_t>((*total)[static_cast<std::size_t>(i)]) ==
          std::bit_cast<std::uint32_t>(sum_of(0, leaves, i)))
        continue;
      wrong.push_back("exact_sum of " + std::to_string(leaves) + " leaves: element " + std::to_string(i) +
                      " has other bits");
      break;
    }
  }
  return wrong;
}

}  // namespace ftl
