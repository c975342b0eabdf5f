#include "simulation/world.h"

#include <algorithm>
#include <exception>

#include "simulation/fiber.h"

namespace ftl::simulation {

namespace {

// Unwinds the stack of a rank that is no more.
struct RankEnds {
  Ending ending;
};

}  // namespace

World::World(WorldSize size, LinkModel link, OnMismatch on_mismatch)
    : size_(size),
      links_(size, {on_mismatch, std::move(link), [this] { return now_; }}),
      seats_(static_cast<std::size_t>(size.value)) {
  for (std::int32_t r = 0; r < size.value; ++r) {
    seat(Rank{r}).clock = std::make_unique<VirtualClock>(*this, Rank{r});
    seat(Rank{r}).communicator = links_.communicator(Rank{r});
  }
}

World::~World() = default;

void World::lose(Rank rank, TimePoint when) { seat(rank).lost_at = when; }

std::vector<Ending> World::run(const std::function<void(Place)>& body, TimePoint limit) {
  limit_ = limit;
  for (std::int32_t r = 0; r < size_.value; ++r) {
    seat(Rank{r}).fiber = std::make_unique<Fiber>([this, r, &body] { live(Rank{r}, body); });
    seat(Rank{r}).wakes = now_;
  }
  for (;;) {
    Seat* next = nullptr;
    for (Seat& candidate : seats_) {
      if (candidate.fiber->ended()) continue;
      if (next == nullptr || next_event(candidate) < next_event(*next)) next = &candidate;
    }
    if (next == nullptr) break;
    now_ = std::max(now_, next_event(*next));
    next->fiber->enter();
  }
  std::vector<Ending> endings;
  for (const Seat& each : seats_) {
    if (each.fiber->thrown()) std::rethrow_exception(each.fiber->thrown());
    endings.push_back(each.ending);
  }
  return endings;
}

TimePoint World::next_event(const Seat& seat) const { return std::min({seat.wakes, seat.lost_at, limit_}); }

void World::live(Rank rank, const std::function<void(Place)>& body) {
  Seat& self = seat(rank);
  try {
    end_if_due(rank);
    body({rank, *self.clock, *self.communicator});
  } catch (const RankEnds& end) {
    self.ending = end.ending;
  }
}

void World::sleep(Rank rank, TimePoint when) {
  Seat& self = seat(rank);
  if (self.unwinding) return;
  self.wakes = when;
  self.fiber->leave();
  end_if_due(rank);
}

void World::end_if_due(Rank rank) {
  Seat& self = seat(rank);
  const bool lost = now_ >= self.lost_at;
  if (!lost && now_ < limit_) return;
  self.unwinding = true;
  self.communicator->abort();  // before the memory of its views goes
  throw RankEnds{lost ? Ending::lost : Ending::out_of_time};
}

TimePoint VirtualClock::now() const {
  if (looked_) world_.sleep(rank_, world_.now() + std::chrono::microseconds(1));
  looked_ = true;
  return world_.now();
}

void VirtualClock::sleep_until(TimePoint when) {
  looked_ = false;
  world_.sleep(rank_, std::max(when, world_.now()));
}

}  // namespace ftl::simulation
