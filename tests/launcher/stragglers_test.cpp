#include <gtest/gtest.h>

#include <random>

#include "launcher/stragglers.h"

namespace ftl {
namespace {

// Steps of ranks that need `a_sequence` seconds for a sequence, with noise, and now and then ten times as long.
class World {
 public:
  World(int ranks, std::int64_t leaves, double a_sequence, unsigned seed)
      : stragglers_(WorldSize{ranks}, leaves), ranks_(ranks), leaves_(leaves), a_sequence_(a_sequence), random_(seed) {}
  std::optional<Straggler> step(int slow_rank = -1, double slower_by = 0) {
    std::optional<Straggler> found;
    ++step_;
    for (int rank = 0; rank < ranks_; ++rank) {
      const auto sequences = static_cast<double>((leaves_ + ranks_ - 1 - rank) / ranks_);
      double seconds = sequences * a_sequence_ * std::uniform_real_distribution<double>(0.8, 1.3)(random_);
      if (std::uniform_int_distribution<int>(0, 19)(random_) == 0) seconds *= 10;
      if (rank == slow_rank) seconds += slower_by;
      if (auto one = stragglers_.step_reported(Rank{rank}, step_, seconds)) found = one;
    }
    return found;
  }
  std::int64_t steps() const { return step_; }

 private:
  Stragglers stragglers_;
  int ranks_;
  std::int64_t leaves_;
  double a_sequence_;
  std::mt19937 random_;
  std::int64_t step_ = 0;
};

TEST(Stragglers, NeverNameARankOfAMachineThatIsOnlyNoisy) {
  std::int64_t steps = 0;
  for (unsigned seed = 0; steps < 100'000; ++seed) {
    World world(2 + static_cast<int>(seed % 4), 8, std::array{0.001, 0.05, 1.0}[seed % 3], seed);
    while (world.steps() < 500) ASSERT_FALSE(world.step()) << "seed " << seed << ", step " << world.steps();
    steps += world.steps();
  }
}

TEST(Stragglers, NameASlowRankOnceAndSoon) {
  for (unsigned seed = 0; seed < 200; ++seed) {
    const int ranks = 2 + static_cast<int>(seed % 4), slow = static_cast<int>(seed) % ranks;
    World world(ranks, 8, 0.05, seed);
    while (world.steps() < 20) ASSERT_FALSE(world.step());
    std::optional<Straggler> found;
    while (!found && world.steps() < 100) found = world.step(slow, 1.5);
    ASSERT_TRUE(found) << "seed " << seed;
    EXPECT_EQ(found->rank, Rank{slow});
    EXPECT_GT(found->since_step, 15);
    EXPECT_GT(found->seconds, Stragglers::factor * found->seconds_of_peers);
    for (int i = 0; i < 50; ++i) EXPECT_FALSE(world.step(slow, 1.5)) << "named twice, seed " << seed;
  }
}

TEST(Stragglers, CompareBySequencesSoThatAnUnevenShareIsNoFault) {
  Stragglers stragglers(WorldSize{2}, 3);  // two sequences and one
  for (std::int64_t step = 1; step <= 50; ++step) {
    EXPECT_FALSE(stragglers.step_reported(Rank{0}, step, 2.0));
    EXPECT_FALSE(stragglers.step_reported(Rank{1}, step, 1.0));
  }
}

TEST(Stragglers, TakeReportsThatNeverCompleteAndValuesThatAreNone) {
  Stragglers stragglers(WorldSize{2}, 8);
  for (std::int64_t step = 1; step <= 100'000; ++step) EXPECT_FALSE(stragglers.step_reported(Rank{0}, step, 1.0));
  EXPECT_FALSE(stragglers.step_reported(Rank{1}, 1, -1.0));
  EXPECT_FALSE(stragglers.step_reported(Rank{1}, 2, 0.0 / 0.0));
}

}  // namespace
}  // namespace ftl
