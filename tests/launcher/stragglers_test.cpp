#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <random>

#include "launcher/stragglers.h"

namespace ftl {
namespace {

// Steps of ranks whose sequences have all lengths (log-normal, as texts have), with noise and attention's share that
// grows with the square, and now and then ten times as long.
class World {
 public:
  World(int ranks, std::int64_t leaves, double a_sequence, unsigned seed)
      : stragglers_(WorldSize{ranks}), ranks_(ranks), leaves_(leaves), a_sequence_(a_sequence), random_(seed) {}
  std::optional<Straggler> step(int slow_rank = -1, double slower_by = 0) {
    std::optional<Straggler> found;
    ++step_;
    for (int rank = 0; rank < ranks_; ++rank) {
      double tokens = 0, work = 0;
      for (std::int64_t i = 0; i < (leaves_ + ranks_ - 1 - rank) / ranks_; ++i) {
        const double length = std::round(200 * std::lognormal_distribution<double>(0, 0.7)(random_)) + 1;
        tokens += length;
        work += length / 200 * (1 + length / 4000);
      }
      double seconds = work * a_sequence_ * std::uniform_real_distribution<double>(0.8, 1.3)(random_);
      if (std::uniform_int_distribution<int>(0, 19)(random_) == 0) seconds *= 10;
      if (rank == slow_rank) seconds += slower_by;
      if (auto one = stragglers_.step_reported(Rank{rank}, step_, seconds, static_cast<std::int64_t>(tokens)))
        found = one;
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
    const int ranks = 2 + static_cast<int>(seed % 4);
    World world(ranks, ranks * std::array{1, 2, 4}[seed / 4 % 3], std::array{0.001, 0.05, 1.0}[seed % 3], seed);
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
    while (!found && world.steps() < 100) found = world.step(slow, 3.0);
    ASSERT_TRUE(found) << "seed " << seed;
    EXPECT_EQ(found->rank, Rank{slow});
    EXPECT_GT(found->since_step, 15);
    EXPECT_GT(found->seconds, Stragglers::factor * found->seconds_of_peers);
    for (int i = 0; i < 50; ++i) EXPECT_FALSE(world.step(slow, 3.0)) << "named twice, seed " << seed;
  }
}

TEST(Stragglers, CompareByTokensSoThatAnUnevenShareIsNoFault) {
  Stragglers stragglers(WorldSize{2});
  for (std::int64_t step = 1; step <= 50; ++step) {
    EXPECT_FALSE(stragglers.step_reported(Rank{0}, step, 2.0, 400));
    EXPECT_FALSE(stragglers.step_reported(Rank{1}, step, 1.0, 200));
  }
}

TEST(Stragglers, TakeReportsThatNeverCompleteAndValuesThatAreNone) {
  Stragglers stragglers(WorldSize{2});
  for (std::int64_t step = 1; step <= 100'000; ++step) EXPECT_FALSE(stragglers.step_reported(Rank{0}, step, 1.0, 100));
  EXPECT_FALSE(stragglers.step_reported(Rank{1}, 1, -1.0, 100));
  EXPECT_FALSE(stragglers.step_reported(Rank{1}, 2, 0.0 / 0.0, 100));
}

}  // namespace
}  // namespace ftl
