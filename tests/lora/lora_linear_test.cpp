#include "lora/lora_linear.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "lora/philox.h"

namespace ftl {
namespace {

constexpr std::int64_t rows = 5, in = 7, out = 6, rank = 2;
constexpr float scaling = 1.75f;

std::vector<float> noise(std::int64_t count, std::uint32_t what) {
  std::vector<float> values;
  for (std::int64_t i = 0; i < count; ++i)
    values.push_back(uniform_float(philox4x32({static_cast<std::uint32_t>(i), what, 0, 0}, {1, 2})[0]) - 0.5f);
  return values;
}

// L = sum of dy * y in double, straight from the formula: its derivatives are what backward must give.
struct Example {
  std::vector<float> x = noise(rows * in, 1), w = noise(out * in, 2), a = noise(rank * in, 3), b = noise(out * rank, 4),
                     dy = noise(rows * out, 5);

  double y(std::int64_t row, std::int64_t column) const {
    double sum = 0;
    for (std::int64_t k = 0; k < in; ++k) {
      double weight = at(w, column * in + k);
      for (std::int64_t r = 0; r < rank; ++r)
        weight += static_cast<double>(scaling) * at(b, column * rank + r) * at(a, r * in + k);
      sum += at(x, row * in + k) * weight;
    }
    return sum;
  }
  double loss() const {
    double sum = 0;
    for (std::int64_t i = 0; i < rows * out; ++i) sum += at(dy, i) * y(i / out, i % out);
    return sum;
  }
  LoraLinear linear() const { return {{w.data()}, a.data(), b.data(), in, out, rank, scaling}; }
  static double at(const std::vector<float>& values, std::int64_t i) {
    return static_cast<double>(values[static_cast<std::size_t>(i)]);
  }
};

// L is linear in each single value, so a difference of any width is its derivative.
void expect_derivatives(Example example, std::vector<float> Example::*member, const std::vector<float>& gradient) {
  ASSERT_EQ(gradient.size(), (example.*member).size());
  for (std::size_t i = 0; i < gradient.size(); ++i) {
    const float kept = (example.*member)[i];
    (example.*member)[i] = kept + 1;
    const double above = example.loss();
    (example.*member)[i] = kept;
    EXPECT_NEAR(gradient[i], above - example.loss(), 2e-6) << i;
  }
}

class LoraLinearTest : public testing::Test {
 protected:
  std::unique_ptr<Device> device = std::move(*make_cpu_device());
  std::unique_ptr<Stream> stream = std::move(*device->make_stream(1));
  Example example;
  std::vector<float> y = std::vector<float>(rows * out), low = std::vector<float>(rows * rank),
                     d_low = std::vector<float>(rows * rank);
};

TEST_F(LoraLinearTest, ForwardIsTheBaseLayerPlusTheScaledLowRankProduct) {
  lora_forward(*stream, example.linear(), example.x.data(), y.data(), low.data(), rows);
  for (std::int64_t i = 0; i < rows * out; ++i)
    EXPECT_NEAR(y[static_cast<std::size_t>(i)], example.y(i / out, i % out), 1e-6);
}

TEST_F(LoraLinearTest, BackwardGivesTheDerivativeOfEveryInput) {
  lora_forward(*stream, example.linear(), example.x.data(), y.data(), low.data(), rows);
  std::vector<float> d_x(rows * in, NAN), d_a(rank * in, NAN), d_b(out * rank, NAN), d_w(out * in, NAN);
  lora_backward(*stream, example.linear(), example.x.data(), low.data(), example.dy.data(), d_low.data(),
                {.d_x = d_x.data(), .d_a = d_a.data(), .d_b = d_b.data(), .d_weight = d_w.data()}, rows);
  expect_derivatives(example, &Example::x, d_x);
  expect_derivatives(example, &Example::a, d_a);
  expect_derivatives(example, &Example::b, d_b);
  expect_derivatives(example, &Example::w, d_w);
}

TEST_F(LoraLinearTest, BackwardAddsToTheInputGradientWhenAsked) {
  lora_forward(*stream, example.linear(), example.x.data(), y.data(), low.data(), rows);
  std::vector<float> fresh(rows * in), added(rows * in, 10.0f);
  lora_backward(*stream, example.linear(), example.x.data(), low.data(), example.dy.data(), d_low.data(),
                {.d_x = fresh.data()}, rows);
  lora_backward(*stream, example.linear(), example.x.data(), low.data(), example.dy.data(), d_low.data(),
                {.d_x = added.data(), .accumulate_d_x = true}, rows);
  for (std::size_t i = 0; i < fresh.size(); ++i) EXPECT_NEAR(added[i], 10.0f + fresh[i], 4e-6);
}

TEST_F(LoraLinearTest, WithoutAnAdapterIsAPlainLinearLayer) {
  LoraLinear plain = example.linear();
  plain.a = plain.b = nullptr;
  lora_forward(*stream, plain, example.x.data(), y.data(), nullptr, rows);
  std::fill(example.b.begin(), example.b.end(), 0.0f);
  for (std::int64_t i = 0; i < rows * out; ++i)
    EXPECT_NEAR(y[static_cast<std::size_t>(i)], example.y(i / out, i % out), 1e-6);
}

}  // namespace
}  // namespace ftl
