#include "trainer/loss_guard.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <utility>
#include <vector>

namespace ftl {
namespace {

class Losses {
 public:
  bool is_spike(double loss) {
    const auto known = spike_limit(recent_);
    const bool spike = known && loss > known->limit;
    remember(recent_, {++step_, false, loss, 1, 1e-3, 100, 0.1});
    return spike;
  }

 private:
  std::vector<MetricsRecord> recent_;
  std::int64_t step_ = 0;
};

// Batches of one sequence, whose losses differ by their contents as much as they do in practice.
TEST(LossGuard, TakesAFallingAndNoisyLossForWhatItIs) {
  std::int64_t seen = 0;
  for (unsigned seed = 0; seen < 100'000; ++seed) {
    std::mt19937 random(seed);
    std::normal_distribution<double> noise(0, 0.12);
    Losses losses;
    for (int step = 0; step < 500; ++step, ++seen) {
      const double trend = 0.8 + 6.0 * std::exp(-step / 60.0);
      ASSERT_FALSE(losses.is_spike(trend * std::exp(noise(random)))) << "seed " << seed << ", step " << step;
    }
  }
}

TEST(LossGuard, CallsAJumpFromTheThirdLossOn) {
  for (int known = 2; known < 40; ++known) {
    Losses losses;
    for (int step = 0; step < known; ++step) ASSERT_FALSE(losses.is_spike(2.0 + 0.05 * (step % 5)));
    EXPECT_TRUE(losses.is_spike(known < 8 ? 25.0 : 7.0)) << known << " losses before it";
  }
}

// An adapter that knows its texts by heart: every loss is near zero, and one text's is a multiple of another's.
TEST(LossGuard, TakesTheSmallLossesOfAnOverfittedRunForWhatTheyAre) {
  for (unsigned seed = 0; seed < 50; ++seed) {
    std::mt19937 random(seed);
    std::lognormal_distribution<double> loss(std::log(0.01), 1.0);
    Losses losses;
    for (int step = 0; step < 2000; ++step)
      ASSERT_FALSE(losses.is_spike((loss(random) + loss(random)) / 2)) << "seed " << seed << ", step " << step;
    EXPECT_TRUE(losses.is_spike(1.2));
  }
}

TEST(LossGuard, SaysNothingOfTheFirstLosses) {
  Losses losses;
  EXPECT_FALSE(losses.is_spike(1e9));
  EXPECT_FALSE(losses.is_spike(1e9));
  EXPECT_FALSE(spike_limit({}));
}

TEST(LossGuard, LeavesEvaluationsOut) {
  std::vector<MetricsRecord> recent;
  for (std::int64_t step = 1; step <= 10; ++step) {
    remember(recent, {step, false, 2.0, 1, 1e-3, 100, 0.1});
    remember(recent, {step, true, 900.0, 0, 0, 100, 0.1});
  }
  EXPECT_DOUBLE_EQ(spike_limit(recent)->median, 2.0);
}

TEST(AllFinite, SeesOneBadValueAnywhere) {
  std::vector<float> values(37, -3.0e38F);
  EXPECT_TRUE(all_finite(values));
  EXPECT_TRUE(all_finite({}));
  const float infinity = std::numeric_limits<float>::infinity();
  for (const float bad : {infinity, -infinity, std::numeric_limits<float>::quiet_NaN()}) {
    for (float& value : values) {
      const float before = std::exchange(value, bad);
      EXPECT_FALSE(all_finite(values));
      value = before;
    }
  }
}

}  // namespace
}  // namespace ftl
