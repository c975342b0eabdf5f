#include "comm/await.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>

#include "simulation/world.h"

namespace ftl {
namespace {

using namespace std::chrono_literals;
using SimulatedRank = simulation::Place;
using simulation::World;

Result<Done> sum_one_number(SimulatedRank place, float& value, const AwaitLimits& limits) {
  const TensorView view{&value, 1, DType::f32, Place::host};
  const Result<Ticket> ticket =
      place.communicator.start_all_reduce(world_group(place.communicator.world()), view, ReduceOp::sum, {});
  if (!ticket) return ticket.error();
  return await(place.communicator, *ticket, place.clock, limits);
}

LinkModel losing(Rank from) {
  return [from](const FakeMessage& message) { return message.from == from ? std::nullopt : std::optional(Duration{}); };
}

TEST(Await, ReturnsWhenTheOperationIsComplete) {
  World world(WorldSize{3},
              [](const FakeMessage& message) { return std::optional(Duration(message.from.value * 7ms)); });
  std::array<float, 3> values{1, 2, 4};
  world.run([&](SimulatedRank place) {
    const Result<Done> done = sum_one_number(place, values[static_cast<std::size_t>(place.rank.value)], {1s});
    EXPECT_TRUE(done) << describe(done.error());
    EXPECT_GE(place.clock.now().since_start, 14ms);
    EXPECT_LT(place.clock.now().since_start, 15ms);
  });
  EXPECT_THAT(values, testing::Each(7.0f));
}

TEST(Await, GivesUpAtExactlyTheLimitAndAbortsTheCommunicator) {
  World world(WorldSize{2}, losing(Rank{1}));
  world.run([&](SimulatedRank place) {
    float value = 1;
    const Result<Done> done = sum_one_number(place, value, {30s});
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().kind, FaultKind::communication_failure);
    EXPECT_THAT(done.error().what, testing::HasSubstr("not complete after 30.000 s, the limit is 30.000 s"));
    EXPECT_EQ(done.error().where, "rank " + std::to_string(place.rank.value));
    EXPECT_FALSE(place.communicator.poll({1})) << "an aborted communicator fails every poll";
  });
}

TEST(Await, HandsOnTheFailureOfTheBackend) {
  World world(WorldSize{2});
  world.run([&](SimulatedRank place) {
    std::array<float, 2> values{};
    const TensorView view{values.data(), place.rank.value + 1, DType::f32, Place::host};
    const Result<Ticket> ticket =
        place.communicator.start_all_reduce(world_group(WorldSize{2}), view, ReduceOp::sum, {});
    ASSERT_TRUE(ticket);
    const Result<Done> done = await(place.communicator, *ticket, place.clock, {30s});
    ASSERT_FALSE(done);
    EXPECT_THAT(done.error().what, testing::HasSubstr("different operations"));
    EXPECT_LT(place.clock.now().since_start, 1s);
  });
}

TEST(Await, AMismatchThatTheLibraryDoesNotNoticeIsAHangUntilTheLimit) {
  World world(WorldSize{2}, {}, OnMismatch::hang);
  world.run([&](SimulatedRank place) {
    std::array<float, 2> values{};
    const TensorView view{values.data(), place.rank.value + 1, DType::f32, Place::host};
    const Result<Ticket> ticket =
        place.communicator.start_all_reduce(world_group(WorldSize{2}), view, ReduceOp::sum, {});
    const Result<Done> done = await(place.communicator, *ticket, place.clock, {5s});
    ASSERT_FALSE(done);
    EXPECT_GE(place.clock.now().since_start, 5s);
  });
}

}  // namespace
}  // namespace ftl
