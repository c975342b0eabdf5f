// Memory is planned before the first step: computing a sequence, handing its gradient over and summing up take nothing
// from the heap once each has happened once. The
// training loop around them is not part of this: its list of a step's examples and its reports do allocate.
#include <algorithm>
#include <vector>

#include <gtest/gtest.h>

#include "comm/clock.h"
#include "comm/exact_sum.h"
#include "comm/solo_communicator.h"
#include "tests/model/tiny_model.h"
#include "tests/trainer/counted_heap.h"
#include "trainer/lanes.h"
#include "trainer/optimizer/adamw.h"

namespace ftl {
namespace {

// Sequences of different lengths, the longest first, so that what follows fits what was planned.
std::vector<Example> examples() {
  std::vector<Example> set;
  for (const std::int64_t rows : {40, 7, 23, 31}) {
    const tiny::Text text = tiny::text_of(rows);
    Example example{text.ids, std::vector<std::uint8_t>(text.ids.size(), 1)};
    example.supervised[0] = 0;
    set.push_back(std::move(example));
  }
  return set;
}

struct StepCase {
  int lanes;
  ModelConfig config;
};
class StepWithoutAllocation : public testing::TestWithParam<StepCase> {};

TEST_P(StepWithoutAllocation, TakesNothingFromTheHeapOnceItHasRunOnce) {
  tiny::Model model(GetParam().config);
  const std::vector<Example> set = examples();
  const std::vector<std::int64_t> indices{0, 1, 2, 3};
  const std::int64_t parameters = model.adapter.parameters();
  Lanes lanes =
      std::move(*Lanes::plan(*model.device, model.llama, &model.adapter, GetParam().lanes, 2, 40, parameters));
  const std::unique_ptr<Communicator> alone = make_solo_communicator();
  ExactSum sum(Rank{0}, WorldSize{1}, 4, parameters);
  FlightRecorder recorder = FlightRecorder::in_memory(Rank{0}, Attempt{1});
  SystemClock clock;
  AdamWOptimizer optimizer = std::move(*AdamWOptimizer::create(*model.device, model.adapter.layout(), {}));

  const PassProgress nothing = [](Direction) {};
  const std::function<Result<Done>(std::size_t, const Lanes::LeafResult&)> consume =
      [&](std::size_t position, const Lanes::LeafResult& leaf) -> Result<Done> {
    std::ranges::copy(std::span(leaf.gradient, static_cast<std::size_t>(parameters)), sum.next_leaf().begin());
    sum.add_leaf(static_cast<std::int64_t>(position));
    return Done{};
  };
  const auto step = [&](std::int64_t number) {
    ASSERT_TRUE(lanes.run(set, indices, Lanes::Work::loss_and_gradient, nothing, nothing, consume));
    const Result<std::span<float>> total = sum.finish(*alone, recorder, clock, {}, Step{number});
    ASSERT_TRUE(total);
    ASSERT_TRUE(optimizer.step(lanes.first_stream(), total->data(), 0.01, number, 1e-3));
  };
  step(1);
  const std::int64_t before = allocations();
  ASSERT_GT(before, 0) << "nothing is counted";
  for (std::int64_t number = 2; number <= 4; ++number) step(number);
  EXPECT_EQ(allocations() - before, 0);
}

INSTANTIATE_TEST_SUITE_P(Lanes, StepWithoutAllocation,
                         testing::Values(StepCase{1, tiny::config_of(false)}, StepCase{2, tiny::config_of(false)},
                                         StepCase{3, tiny::config_of(false)}, StepCase{2, tiny::with_every_trait()},
                                         StepCase{2, tiny::with_dynamic_rope()}));

}  // namespace
}  // namespace ftl
