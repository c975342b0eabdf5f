#include "lora/adapter.h"

#include <gtest/gtest.h>

#include <cmath>

namespace ftl {
namespace {

const std::vector<LinearModule> modules = {{"model.layers.0.self_attn.q_proj", 64, 48},
                                           {"model.layers.0.mlp.up_proj", 16, 40}};

std::vector<float> initial_values(std::uint64_t seed) {
  auto device = std::move(*make_cpu_device());
  const AdapterShape shape = *select_modules({.rank = 3}, modules);
  return *Adapter::initialise(*device, shape, seed)->copy();
}

TEST(Adapter, LiesInOneBufferAThenBInModelOrder) {
  auto device = std::move(*make_cpu_device());
  Adapter adapter = std::move(*Adapter::initialise(*device, *select_modules({.rank = 3}, modules), 7));
  const auto layout = adapter.layout();
  ASSERT_EQ(layout.size(), 4u);
  EXPECT_EQ(layout[0].name, "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight");
  EXPECT_EQ(layout[0].shape, (std::vector<std::int64_t>{3, 64}));
  EXPECT_EQ(layout[1].name, "base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight");
  EXPECT_EQ(layout[1].shape, (std::vector<std::int64_t>{48, 3}));
  std::int64_t offset = 0;
  for (const TrainableTensor& tensor : layout) {
    EXPECT_EQ(tensor.offset, offset);
    EXPECT_EQ(tensor.values, adapter.values() + offset);
    EXPECT_TRUE(tensor.decayed);
    offset += tensor.count;
  }
  EXPECT_EQ(offset, adapter.parameters());
}

TEST(Adapter, KnowsThePairOfAModuleAndHasNoneForOthers) {
  auto device = std::move(*make_cpu_device());
  Adapter adapter =
      std::move(*Adapter::initialise(*device, *select_modules({.rank = 3, .target = {"up_proj"}}, modules), 7));
  const Adapter::Pair pair = adapter.pair("model.layers.0.mlp.up_proj");
  EXPECT_EQ(pair.a, adapter.values());
  EXPECT_EQ(pair.b, adapter.values() + 3 * 16);
  EXPECT_EQ(adapter.pair("model.layers.0.self_attn.q_proj").a, nullptr);
}

TEST(Adapter, BeginsAsNothingBecauseBIsZero) {
  const std::vector<float> values = initial_values(7);
  for (std::size_t i = 3 * 64; i < 3 * 64 + 48 * 3; ++i) EXPECT_EQ(values[i], 0.0f);
}

TEST(Adapter, InitialisesAUniformlyWithinOneOverTheSquareRootOfItsInputs) {
  const std::vector<float> values = initial_values(7);
  double sum = 0, squares = 0, largest = 0;
  for (std::size_t i = 0; i < 3 * 64; ++i) {
    sum += values[i];
    squares += static_cast<double>(values[i]) * values[i];
    largest = std::max(largest, std::abs(static_cast<double>(values[i])));
  }
  const double bound = 1.0 / 8.0, count = 3 * 64;
  EXPECT_LE(largest, bound);
  EXPECT_GT(largest, 0.9 * bound);
  EXPECT_NEAR(sum / count, 0.0, 4 * bound / std::sqrt(3 * count));
  EXPECT_NEAR(squares / count, bound * bound / 3, 0.25 * bound * bound / 3);
}

TEST(Adapter, IsAFunctionOfTheSeed) {
  EXPECT_EQ(initial_values(7), initial_values(7));
  EXPECT_NE(initial_values(7), initial_values(8));
}

TEST(Adapter, GivesModulesDifferentValues) {
  const std::vector<float> values = initial_values(7);
  EXPECT_NE(values[0] * 8.0f, values[3 * 64 + 48 * 3] * 4.0f);
}

}  // namespace
}  // namespace ftl
