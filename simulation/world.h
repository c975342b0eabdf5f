// All ranks of a world in one thread: each is a fiber, time is virtual, links are a function. Whoever sleeps gives way
// to the rank that wakes first, so the same inputs give the same history, and thirty seconds of waiting take no time.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "comm/clock.h"
#include "comm/fake/fake_world.h"
#include "comm/rank.h"

namespace ftl::simulation {

class Fiber;

// What a simulated rank has of the world.
struct Place {
  Rank rank;
  Clock& clock;                // virtual; see VirtualClock
  Communicator& communicator;  // of a FakeWorld under the world's links
};

enum class Ending : std::uint8_t { finished, lost, out_of_time };

class World {
 public:
  explicit World(WorldSize size, LinkModel link = {}, OnMismatch on_mismatch = OnMismatch::fail);
  ~World();
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  // The rank ends at this time as if killed: it does nothing from then on, nobody is told, what it had started and
  // nobody had received is gone. Before run().
  void lose(Rank rank, TimePoint when);

  // Runs `body` once for each rank, up to virtual time `limit`. Returns how each rank ended. An exception of a body
  // leaves run(). The stack of a rank that ended early is unwound at that moment; time stands still for it from then
  // on.
  std::vector<Ending> run(const std::function<void(Place)>& body, TimePoint limit = {std::chrono::hours(24 * 365)});

  TimePoint now() const { return now_; }

 private:
  friend class VirtualClock;
  struct Seat {
    std::unique_ptr<Clock> clock;
    std::unique_ptr<Communicator> communicator;
    std::unique_ptr<Fiber> fiber;
    TimePoint wakes;
    TimePoint lost_at{Duration::max()};
    bool unwinding = false;
    Ending ending = Ending::finished;
  };
  Seat& seat(Rank rank) { return seats_[static_cast<std::size_t>(rank.value)]; }
  void sleep(Rank rank, TimePoint when);
  void end_if_due(Rank rank);
  void live(Rank rank, const std::function<void(Place)>& body);
  TimePoint next_event(const Seat& seat) const;

  WorldSize size_;
  TimePoint now_;
  TimePoint limit_;
  FakeWorld links_;
  std::vector<Seat> seats_;
};

// A rank's view of the world's time. Looking at it twice without sleeping in between takes a microsecond, so that a
// loop that only polls makes time pass as it would on a real machine.
class VirtualClock final : public Clock {
 public:
  VirtualClock(World& world, Rank rank) : world_(world), rank_(rank) {}
  TimePoint now() const override;
  void sleep_until(TimePoint when) override;

 private:
  World& world_;
  Rank rank_;
  mutable bool looked_ = false;
};

}  // namespace ftl::simulation
