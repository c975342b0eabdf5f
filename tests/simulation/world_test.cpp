#include "simulation/world.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stdexcept>
#include <string>
#include <vector>

#include "comm/await.h"

namespace ftl::simulation {
namespace {

using namespace std::chrono_literals;

std::vector<std::string> history_of_a_run() {
  std::vector<std::string> history;
  World world(WorldSize{4}, [](const FakeMessage& m) {
    return std::optional(Duration((m.number * 7919 + static_cast<std::uint64_t>(m.from.value) * 104729) % 5'000'000));
  });
  world.run([&](Place place) {
    for (int round = 0; round < 5; ++round) {
      float value = 1;
      const Result<Ticket> ticket = place.communicator.start_all_reduce(
          world_group(WorldSize{4}), {&value, 1, DType::f32, ftl::Place::host}, ReduceOp::sum, {});
      ASSERT_TRUE(ticket);
      ASSERT_TRUE(await(place.communicator, *ticket, place.clock, {1s}));
      history.push_back(std::to_string(place.rank.value) + " at " +
                        std::to_string(place.clock.now().since_start.count()));
    }
  });
  return history;
}

TEST(World, HasTheSameHistoryEveryTime) {
  const std::vector<std::string> first = history_of_a_run();
  EXPECT_EQ(first.size(), 20u);
  EXPECT_EQ(history_of_a_run(), first);
}

TEST(World, LetsWhoeverWakesFirstRunFirst) {
  std::vector<int> order;
  World world(WorldSize{3});
  world.run([&](Place place) {
    place.clock.sleep_until({Duration((3 - place.rank.value) * 1h)});
    order.push_back(place.rank.value);
    EXPECT_EQ(place.clock.now().since_start, (3 - place.rank.value) * 1h);
  });
  EXPECT_THAT(order, testing::ElementsAre(2, 1, 0));
  EXPECT_EQ(world.now().since_start, 3h);
}

TEST(World, UnwindsALostRankAtItsTimeAndTellsNobody) {
  struct Witness {
    TimePoint* ended;
    World* world;
    ~Witness() { *ended = world->now(); }
  };
  TimePoint ended{};
  World world(WorldSize{2});
  world.lose(Rank{1}, {2s});
  const std::vector<Ending> endings = world.run([&](Place place) {
    if (place.rank == Rank{1}) {
      const Witness witness{&ended, &world};
      place.clock.sleep_until({5s});
      FAIL() << "a lost rank went on";
    }
    place.clock.sleep_until({10s});
  });
  EXPECT_THAT(endings, testing::ElementsAre(Ending::finished, Ending::lost));
  EXPECT_EQ(ended.since_start, 2s);
}

TEST(World, EndsRanksThatWaitForEver) {
  World world(WorldSize{2});
  const auto endings = world.run(
      [](Place place) {
        for (;;) place.clock.sleep_until(place.clock.now() + 1s);
      },
      {60s});
  EXPECT_THAT(endings, testing::Each(Ending::out_of_time));
  EXPECT_EQ(world.now().since_start, 60s);
}

TEST(World, MakesTimePassForALoopThatOnlyLooks) {
  World world(WorldSize{1});
  world.run([](Place place) {
    while (place.clock.now().since_start < 1ms) {
    }
  });
  EXPECT_EQ(world.now().since_start, 1ms);
}

TEST(World, HandsOnAnExceptionOfARank) {
  World world(WorldSize{2});
  EXPECT_THROW(world.run([](Place place) {
    if (place.rank == Rank{1}) throw std::runtime_error("a bug");
  }),
               std::runtime_error);
}

}  // namespace
}  // namespace ftl::simulation
