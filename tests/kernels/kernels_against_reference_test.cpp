// The references are the specification: every production path, on every instruction set, is held against them.
#include <cmath>
#include <cstdint>
#include <limits>

#include "kernels/cpu/lanes.h"
#include "tests/kernels/cpu_fixture.h"
#include "tests/kernels/operations.h"

namespace ftl {
namespace {

using testing::Cpu;
using testing::Floats;

class Operation : public ::testing::TestWithParam<testing::OperationCase> {};

TEST_P(Operation, AgreesWithItsReferenceOnEveryInstructionSet) {
  for (const std::string& set : testing::instruction_sets()) {
    Cpu cpu(2, set);
    const auto seen = GetParam().run(cpu.kernels(), *cpu.stream, 0);
    const auto expected = GetParam().run(testing::reference_table(), *cpu.stream, 0);
    ASSERT_EQ(seen.size(), expected.size());
    for (std::size_t i = 0; i < seen.size(); ++i) {
      EXPECT_LE(testing::relative_error(seen[i], expected[i], GetParam().least), GetParam().tolerance)
          << set << ", result " << i;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Table, Operation, ::testing::ValuesIn(testing::operation_cases()),
                         [](const auto& instance) { return instance.param.name; });

TEST(Exponential, IsWithinTwoUnitsInTheLastPlace) {
  for (float x = -87.3f; x < 88.72f; x += 0.00037f) {
    const double exact = std::exp(static_cast<double>(x)), unit = std::ldexp(1.0, std::ilogb(exact) - 23);
    ASSERT_LE(std::abs(static_cast<double>(cpu_baseline::exponential(x)) - exact), 2 * unit) << x;
  }
  EXPECT_EQ(cpu_baseline::exponential(-INFINITY), 0);
  EXPECT_EQ(cpu_baseline::exponential(89.0f), INFINITY);
  EXPECT_TRUE(std::isnan(cpu_baseline::exponential(NAN)));
}

// On every instruction set, seen through silu: with up = 1, y = gate / (1 + e^-gate).
TEST(Exponential, IsAccurateOverTheWholeRangeOfTheSigmoid) {
  for (const std::string& set : testing::instruction_sets()) {
    Cpu cpu(1, set);
    Floats gate;
    for (float x = -85; x <= 85; x += 0.0137f) gate.push_back(x);
    const Floats up(gate.size(), 1);
    Floats y(gate.size());
    cpu.kernels().swiglu_forward(*cpu.stream,
                                 {gate.data(), up.data(), y.data(), static_cast<std::int64_t>(gate.size())});
    for (std::size_t i = 0; i < gate.size(); ++i) {
      const double x = gate[i], exact = x / (1 + std::exp(-x));
      const double unit = std::ldexp(1.0, std::ilogb(exact == 0 ? 1e-30 : exact) - 23);
      ASSERT_LE(std::abs(static_cast<double>(y[i]) - exact), 4 * unit) << set << ", silu(" << x << ")";
    }
  }
}

TEST(CrossEntropy, SaysNaNForARowThatHoldsANaNOrInfinityAndLeavesOtherRowsAlone) {
  for (const float poison : {NAN, INFINITY}) {
    Cpu cpu(2);
    Floats logits(3 * 10, 0.5f), losses(3), sum(1);
    logits[13] = poison;
    const std::vector<std::int32_t> targets = {1, 2, 3};
    cpu.kernels().cross_entropy(*cpu.stream, {logits.data(), targets.data(), sum.data(), losses.data(), 3, 10, true});
    EXPECT_NEAR(losses[0], std::log(10), 1e-6);
    EXPECT_TRUE(std::isnan(losses[1]));
    EXPECT_NEAR(losses[2], std::log(10), 1e-6);
    EXPECT_TRUE(std::isnan(sum[0]));
  }
}

TEST(CrossEntropy, GivesNoLossForALogitFarAboveTheOthersAndAHugeOneForALogitFarBelow) {
  Cpu cpu(1);
  Floats logits = {-300, 300, -300, 300}, losses(2), sum(1);
  const std::vector<std::int32_t> targets = {1, 0};
  cpu.kernels().cross_entropy(*cpu.stream, {logits.data(), targets.data(), sum.data(), losses.data(), 2, 2, true});
  EXPECT_EQ(losses[0], 0);
  EXPECT_EQ(losses[1], 600);
  EXPECT_EQ(logits, (Floats{0, 0, -1, 1}));
}

TEST(SquaredNorm, FindsTheFirstElementThatIsNotFinite) {
  struct Place {
    std::int64_t first, second;
  };
  for (const Place place : {Place{0, 1}, {4095, 4096}, {4096, 9999}, {9999, 9999}}) {
    for (const float poison : {NAN, INFINITY, -INFINITY}) {
      Cpu cpu(3);
      Floats x(10000, 1);
      x[static_cast<std::size_t>(place.first)] = poison;
      x[static_cast<std::size_t>(place.second)] = poison;
      double sum = 0;
      std::int64_t found = -1;
      cpu.kernels().squared_norm(*cpu.stream, {x.data(), &sum, &found, 10000});
      EXPECT_EQ(found, place.first);
      EXPECT_FALSE(std::isfinite(sum));
    }
  }
}

TEST(SquaredNorm, IsFiniteForTheLargestFloats) {
  Cpu cpu(1);
  const Floats x(5000, std::numeric_limits<float>::max());
  double sum = 0;
  std::int64_t found = 0;
  cpu.kernels().squared_norm(*cpu.stream, {x.data(), &sum, &found, 5000});
  EXPECT_EQ(found, -1);
  EXPECT_NEAR(std::sqrt(sum / 5000) / static_cast<double>(std::numeric_limits<float>::max()), 1, 1e-12);
}

TEST(AdamW, FollowsTheFormulaInDoubleOver50Steps) {
  constexpr double rate = 1e-2, b1 = 0.9, b2 = 0.999, epsilon = 1e-8, decay = 0.1;
  constexpr std::int64_t count = 37;
  Cpu cpu(2);
  Floats p = testing::numbers(count, 1), m(count), v(count);
  std::vector<double> exact(p.begin(), p.end()), exact_m(count), exact_v(count);
  for (std::int64_t step = 1; step <= 50; ++step) {
    const Floats gradient = testing::numbers(count, static_cast<unsigned>(step));
    cpu.kernels().adamw(*cpu.stream, {p.data(), gradient.data(), m.data(), v.data(), count, step,
                                      static_cast<float>(rate), static_cast<float>(b1), static_cast<float>(b2),
                                      static_cast<float>(epsilon), static_cast<float>(decay), 2.0f});
    for (std::size_t i = 0; i < count; ++i) {
      const double g = 2.0 * static_cast<double>(gradient[i]);
      exact[i] *= 1 - rate * decay;  // decoupled: before the step, from the parameter alone
      exact_m[i] = b1 * exact_m[i] + (1 - b1) * g;
      exact_v[i] = b2 * exact_v[i] + (1 - b2) * g * g;
      const double m_hat = exact_m[i] / (1 - std::pow(b1, step)), v_hat = exact_v[i] / (1 - std::pow(b2, step));
      exact[i] -= rate * m_hat / (std::sqrt(v_hat) + epsilon);
    }
  }
  for (std::size_t i = 0; i < count; ++i) EXPECT_NEAR(static_cast<double>(p[i]), exact[i], 1e-5) << i;
}

}  // namespace
}  // namespace ftl
