#include "comm/fake/fake_world.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "communicator_conformance.h"
#include "simulation/world.h"

namespace ftl {
namespace {

TEST(FakeWorld, DoesWhatEveryBackendMustDo) {
  for (std::int32_t size = 1; size <= 5; ++size) {
    simulation::World world(WorldSize{size});
    world.run([](simulation::Place place) {
      EXPECT_THAT(check_communicator(place.communicator, place.clock), testing::IsEmpty());
      EXPECT_THAT(check_exact_sum(place.communicator, place.clock), testing::IsEmpty());
    });
  }
}

TEST(FakeWorld, HoldsNoMemoryForOperationsThatAreComplete) {
  FakeWorld world(WorldSize{1});
  SystemClock clock;
  EXPECT_THAT(check_memory(*world.communicator(Rank{0}), clock), testing::IsEmpty());
}

TEST(FakeWorld, WorksAmongThreads) {
  FakeWorld world(WorldSize{3});
  std::vector<std::thread> ranks;
  for (std::int32_t rank = 0; rank < 3; ++rank) {
    ranks.emplace_back([communicator = world.communicator(Rank{rank})] {
      SystemClock clock;
      EXPECT_THAT(check_exact_sum(*communicator, clock), testing::IsEmpty());
    });
  }
  for (std::thread& rank : ranks) rank.join();
}

}  // namespace
}  // namespace ftl
