#include "comm/fake/fake_world.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <mutex>
#include <tuple>
#include <vector>

#include "comm/fake/host_reduce.h"
#include "comm/open_operations.h"

namespace ftl {

namespace {

enum class Kind : std::uint8_t { all_reduce, all_gather, reduce_scatter, broadcast, gather, point_to_point };

// What must be equal at all members.
struct Shape {
  Kind kind;
  DType dtype;
  std::int64_t count;
  Rank root{0};
  ReduceOp reduce = ReduceOp::sum;
  friend bool operator==(const Shape&, const Shape&) = default;
};

struct Part {
  TensorView from, to;
  std::optional<TimePoint> arrives;  // nothing: lost
};

// An operation, from its first member's start on. Views of other members are touched only by execute().
struct Meeting {
  Group group;
  Shape shape;
  std::vector<std::optional<Part>> parts;  // by member
  bool mismatched = false;
  bool executed = false;

  bool everyone_started() const {
    return std::all_of(parts.begin(), parts.end(), [](const auto& part) { return part.has_value(); });
  }
  bool arrived_by(TimePoint now) const {
    return std::all_of(parts.begin(), parts.end(),
                       [&](const auto& part) { return part->arrives && *part->arrives <= now; });
  }
  void execute();
};

void copy(const TensorView& to, std::int64_t at, const TensorView& from) {
  if (from.bytes() > 0)
    std::memmove(static_cast<std::byte*>(to.data) + at * from.bytes(), from.data,
                 static_cast<std::size_t>(from.bytes()));
}

TensorView slice(const TensorView& view, std::int64_t begin, std::int64_t count) {
  return {static_cast<std::byte*>(view.data) + begin * size_in_bytes(view.dtype), count, view.dtype, view.place};
}

void Meeting::execute() {
  executed = true;
  const auto members = static_cast<std::int64_t>(parts.size());
  const auto root = static_cast<std::size_t>(std::find(group.members.begin(), group.members.end(), shape.root) -
                                             group.members.begin());
  if (shape.kind == Kind::all_reduce || shape.kind == Kind::reduce_scatter) {
    const bool scatter = shape.kind == Kind::reduce_scatter;
    std::vector<std::byte> total(static_cast<std::size_t>(parts[0]->from.bytes()));
    const TensorView sum{total.data(), parts[0]->from.count, shape.dtype, Place::host};
    copy(sum, 0, parts[0]->from);
    for (std::int64_t m = 1; m < members; ++m) reduce_into(sum, parts[static_cast<std::size_t>(m)]->from, shape.reduce);
    for (std::int64_t m = 0; m < members; ++m) {
      copy(parts[static_cast<std::size_t>(m)]->to, 0, scatter ? slice(sum, m * shape.count, shape.count) : sum);
    }
  } else if (shape.kind == Kind::broadcast) {
    for (std::size_t m = 0; m < parts.size(); ++m) {
      if (m != root) copy(parts[m]->to, 0, parts[root]->from);
    }
  } else if (shape.kind == Kind::point_to_point) {
    copy(parts[1]->to, 0, parts[0]->from);
  } else {
    for (std::size_t m = 0; m < parts.size(); ++m) {
      if (shape.kind == Kind::gather && m != root) continue;
      for (std::size_t other = 0; other < parts.size(); ++other)
        copy(parts[m]->to, static_cast<std::int64_t>(other), parts[other]->from);
    }
  }
}

std::vector<std::int32_t> key_of(const Group& group) {
  std::vector<std::int32_t> key;
  for (const Rank member : group.members) key.push_back(member.value);
  return key;
}

}  // namespace

struct FakeWorld::Exchange {
  WorldSize size;
  FakeWorldOptions options;
  std::mutex mutex;
  // Collectives meet by (members, n-th collective of that group); transfers by (from, to, n-th transfer), kept apart by
  // `channel`.
  using Key = std::tuple<bool, std::vector<std::int32_t>, std::uint64_t>;
  std::map<Key, std::shared_ptr<Meeting>> meetings;

  TimePoint now() const { return options.now ? options.now() : TimePoint{}; }
};

namespace {

class FakeCommunicator final : public Communicator {
 public:
  FakeCommunicator(std::shared_ptr<FakeWorld::Exchange> exchange, Rank rank)
      : exchange_(std::move(exchange)), rank_(rank) {
    traits_ = {"fake", "in one process", true, false};
  }
  ~FakeCommunicator() override { withdraw(); }
  Rank rank() const override { return rank_; }
  WorldSize world() const override { return exchange_->size; }
  const BackendTraits& traits() const override { return traits_; }

  Result<Ticket> start_all_reduce(const Group& group, TensorView view, ReduceOp op, StreamHandle) override {
    if (!can_reduce(view.dtype)) return cannot_reduce(view.dtype);
    return collective(group, {Kind::all_reduce, view.dtype, view.count, Rank{0}, op}, view, view);
  }
  Result<Ticket> start_all_gather(const Group& group, TensorView from, TensorView to, StreamHandle) override {
    if (const auto wrong = wrong_size(to, members(group) * from.count)) return *wrong;
    return collective(group, {Kind::all_gather, from.dtype, from.count}, from, to);
  }
  Result<Ticket> start_reduce_scatter(const Group& group, TensorView from, TensorView to, StreamHandle) override {
    if (!can_reduce(from.dtype)) return cannot_reduce(from.dtype);
    if (const auto wrong = wrong_size(from, members(group) * to.count)) return *wrong;
    return collective(group, {Kind::reduce_scatter, from.dtype, to.count}, from, to);
  }
  Result<Ticket> start_broadcast(const Group& group, TensorView view, Rank root, StreamHandle) override {
    return collective(group, {Kind::broadcast, view.dtype, view.count, root}, view, view);
  }
  Result<Ticket> start_gather(const Group& group, TensorView from, TensorView to, Rank root, StreamHandle) override {
    if (rank_ == root) {
      if (const auto wrong = wrong_size(to, members(group) * from.count)) return *wrong;
    }
    return collective(group, {Kind::gather, from.dtype, from.count, root}, from, to);
  }
  Result<Ticket> start_send(TensorView view, Rank to, StreamHandle) override {
    return join(true, {{rank_, to}}, 0, sends_[to.value]++, {Kind::point_to_point, view.dtype, view.count}, view, view);
  }
  Result<Ticket> start_receive(TensorView view, Rank from, StreamHandle) override {
    return join(true, {{from, rank_}}, 1, receives_[from.value]++, {Kind::point_to_point, view.dtype, view.count}, view,
                view);
  }

  Result<Progress> poll(Ticket ticket) override {
    const std::lock_guard lock(exchange_->mutex);
    if (failure_) return *failure_;
    if (!operations_.was_started(ticket)) {
      return fail("operation " + std::to_string(ticket.number) + " was never started, " +
                  std::to_string(operations_.started()) + " were");
    }
    const Started* const operation = operations_.find(ticket);
    if (operation == nullptr) return Progress::complete;
    const std::shared_ptr<Meeting>& meeting = operation->meeting;
    if (meeting->mismatched) {
      if (exchange_->options.on_mismatch == OnMismatch::hang) return Progress::pending;
      return fail("the members of operation " + std::to_string(ticket.number) + " started different operations");
    }
    if (!meeting->everyone_started()) return Progress::pending;
    if (!meeting->executed) {
      if (!meeting->arrived_by(exchange_->now())) return Progress::pending;
      meeting->execute();
    }
    operations_.complete(ticket);
    return Progress::complete;
  }

  void abort() noexcept override {
    withdraw();
    const std::lock_guard lock(exchange_->mutex);
    if (!failure_) failure_ = Failure{FaultKind::communication_failure, "the communicator was aborted", where(), ""};
  }

 private:
  struct Started {
    std::shared_ptr<Meeting> meeting;
    std::size_t member;
  };

  // What this rank started and nobody has received yet never arrives: its views may be gone.
  void withdraw() noexcept {
    const std::lock_guard lock(exchange_->mutex);
    for (auto& [number, started] : operations_) {
      if (!started.meeting->executed) started.meeting->parts[started.member]->arrives.reset();
    }
  }

  std::string where() const { return "rank " + std::to_string(rank_.value); }
  Failure fail(std::string what) {
    failure_ = Failure{FaultKind::communication_failure, std::move(what), where(), ""};
    return *failure_;
  }
  static std::int64_t members(const Group& group) { return static_cast<std::int64_t>(group.members.size()); }
  std::optional<Failure> wrong_size(const TensorView& view, std::int64_t count) const {
    if (view.count == count) return std::nullopt;
    return Failure{
        FaultKind::communication_failure,
        "a view has " + std::to_string(view.count) + " elements, the operation needs " + std::to_string(count), where(),
        ""};
  }
  Failure cannot_reduce(DType dtype) const {
    return {FaultKind::communication_failure, std::string("the fake world does not reduce ") + name_of(dtype), where(),
            ""};
  }

  Result<Ticket> collective(const Group& group, const Shape& shape, TensorView from, TensorView to) {
    const auto self = std::find(group.members.begin(), group.members.end(), rank_);
    if (self == group.members.end()) {
      return Failure{FaultKind::communication_failure,
                     "the rank is not a member of the group it started an operation on", where(), ""};
    }
    return join(false, group, static_cast<std::size_t>(self - group.members.begin()), collectives_[key_of(group)]++,
                shape, from, to);
  }

  Result<Ticket> join(bool channel, const Group& group, std::size_t member, std::uint64_t number, const Shape& shape,
                      TensorView from, TensorView to) {
    const std::lock_guard lock(exchange_->mutex);
    if (failure_) return *failure_;
    const FakeWorld::Exchange::Key key{channel, key_of(group), number};
    std::shared_ptr<Meeting>& place = exchange_->meetings[key];
    if (place == nullptr) {
      place = std::make_shared<Meeting>();
      place->group = group;
      place->shape = shape;
      place->parts.resize(group.members.size());
    }
    const std::shared_ptr<Meeting> meeting = place;
    if (!(meeting->shape == shape)) meeting->mismatched = true;
    const Ticket ticket = operations_.add({meeting, member});
    const LinkModel& link = exchange_->options.link;
    const std::optional<Duration> delay = link ? link({rank_, ticket.number, from.bytes()}) : Duration{};
    meeting->parts[member] = Part{from, to, delay ? std::optional(exchange_->now() + *delay) : std::nullopt};
    if (meeting->everyone_started()) exchange_->meetings.erase(key);  // nobody else will look for it
    return ticket;
  }

  std::shared_ptr<FakeWorld::Exchange> exchange_;
  Rank rank_;
  BackendTraits traits_;
  OpenOperations<Started> operations_;
  std::map<std::vector<std::int32_t>, std::uint64_t> collectives_;
  std::map<std::int32_t, std::uint64_t> sends_, receives_;
  std::optional<Failure> failure_;
};

}  // namespace

FakeWorld::FakeWorld(WorldSize size, FakeWorldOptions options) : exchange_(std::make_shared<Exchange>()) {
  exchange_->size = size;
  exchange_->options = std::move(options);
}

FakeWorld::~FakeWorld() = default;

std::unique_ptr<Communicator> FakeWorld::communicator(Rank rank) {
  return std::make_unique<FakeCommunicator>(exchange_, rank);
}

}  // namespace ftl
