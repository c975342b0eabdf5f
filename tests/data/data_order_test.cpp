#include "trainer/data/data_order.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <numeric>
#include <set>

#include "trainer/data/examples.h"

namespace ftl {
namespace {

using testing::ElementsAre;

TEST(DataOrder, VisitsEveryExampleOnceAnEpoch) {
  for (const std::int64_t examples : {1, 2, 7, 64, 1000}) {
    for (std::int64_t epoch = 0; epoch < 3; ++epoch) {
      std::vector<std::int64_t> order = epoch_permutation(42, epoch, examples);
      std::sort(order.begin(), order.end());
      std::vector<std::int64_t> all(static_cast<std::size_t>(examples));
      std::iota(all.begin(), all.end(), 0);
      EXPECT_EQ(order, all) << examples << " examples, epoch " << epoch;
    }
  }
}

TEST(DataOrder, DiffersBetweenEpochsAndSeeds) {
  std::set<std::vector<std::int64_t>> orders;
  for (std::uint64_t seed = 0; seed < 10; ++seed) {
    for (std::int64_t epoch = 0; epoch < 10; ++epoch) orders.insert(epoch_permutation(seed, epoch, 50));
  }
  EXPECT_EQ(orders.size(), 100u);
}

// Computed with a separate implementation of the algorithm in the header (Python integers modulo 2^64).
TEST(DataOrder, IsTheOneThatTheHeaderDescribes) {
  EXPECT_THAT(epoch_permutation(42, 0, 10), ElementsAre(8, 1, 9, 2, 6, 0, 4, 5, 3, 7));
  EXPECT_THAT(epoch_permutation(42, 1, 10), ElementsAre(5, 1, 9, 6, 7, 2, 4, 0, 8, 3));
  EXPECT_THAT(epoch_permutation(18446744073709551615u, 7, 5), ElementsAre(1, 3, 0, 4, 2));
}

TEST(DataOrder, ShufflesWithoutBias) {
  // Every example is at the first place equally often: 6 places, 6000 epochs, 1000 expected, 5 sigma are 145.
  std::vector<int> first(6);
  for (std::int64_t epoch = 0; epoch < 6000; ++epoch)
    ++first[static_cast<std::size_t>(epoch_permutation(1, epoch, 6)[0])];
  for (const int count : first) EXPECT_NEAR(count, 1000, 145);
}

TEST(DataOrder, DoesNotDependOnTheBatchSize) {
  constexpr std::int64_t examples = 13, wanted = 13 * 12;
  std::vector<std::int64_t> whole;
  for (std::int64_t epoch = 0; epoch < 12; ++epoch) {
    const auto order = epoch_permutation(7, epoch, examples);
    whole.insert(whole.end(), order.begin(), order.end());
  }
  for (const std::int64_t batch : {1, 2, 3, 4, 12, 13, 26, 39, 52}) {
    std::vector<std::int64_t> seen;
    DataOrder order(7, examples);
    for (std::int64_t step = 0; step < wanted / batch; ++step) {
      const auto chosen = order.of_step(batch, step);
      EXPECT_EQ(chosen.size(), static_cast<std::size_t>(batch));
      EXPECT_EQ(chosen, examples_of_step(7, examples, batch, step)) << "batch " << batch << ", step " << step;
      seen.insert(seen.end(), chosen.begin(), chosen.end());
    }
    EXPECT_TRUE(std::equal(seen.begin(), seen.end(), whole.begin())) << "batch " << batch;
  }
}

TEST(DataOrder, CanBeAskedForAnyStepInAnyOrder) {
  DataOrder order(3, 10);
  const auto late = order.of_step(4, 100);
  const auto early = order.of_step(4, 2);
  EXPECT_EQ(late, examples_of_step(3, 10, 4, 100));
  EXPECT_EQ(early, examples_of_step(3, 10, 4, 2));
}

TEST(StepsOfRun, CoverTheEpochsAskedFor) {
  RunConfig config;
  config.global_batch_size = 8;
  config.num_train_epochs = 3;
  EXPECT_EQ(steps_of_run(config, 8), 3);
  EXPECT_EQ(steps_of_run(config, 9), 4);  // 27 examples in steps of 8
  EXPECT_EQ(steps_of_run(config, 1), 1);
  config.global_batch_size = 1;
  config.num_train_epochs = 1.1;
  EXPECT_EQ(steps_of_run(config, 10), 11);
  config.num_train_epochs = 0.01;
  EXPECT_EQ(steps_of_run(config, 10), 1);
  config.max_steps = 5;
  EXPECT_EQ(steps_of_run(config, 1000), 5);
}

}  // namespace
}  // namespace ftl
