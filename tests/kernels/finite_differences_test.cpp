// The references of every backward against central differences of the forward formula, written here again in double.
#include <algorithm>
#include <functional>

#include "kernels/attention.h"
#include "kernels/bias.h"
#include "kernels/cross_entropy.h"
#include "kernels/geglu.h"
#include "kernels/rms_norm.h"
#include "kernels/rope.h"
#include "kernels/swiglu.h"
#include "tests/kernels/cpu_fixture.h"

namespace ftl {
namespace {

using testing::Floats;
using testing::numbers;
using Doubles = std::vector<double>;
using Scalar = std::function<double(const Doubles&)>;

// d f / d x[i] for every i.
Floats differences(const Scalar& f, const Floats& x) {
  constexpr double step = 1e-5;
  Doubles at(x.begin(), x.end());
  Floats gradient;
  for (double& element : at) {
    const double centre = element;
    element = centre + step;
    const double above = f(at);
    element = centre - step;
    gradient.push_back(static_cast<float>((above - f(at)) / (2 * step)));
    element = centre;
  }
  return gradient;
}

double weighted(const Doubles& y, const Floats& weights) {
  double sum = 0;
  for (std::size_t i = 0; i < y.size(); ++i) sum += y[i] * static_cast<double>(weights[i]);
  return sum;
}

class BackwardOfRmsNorm : public ::testing::TestWithParam<float> {};  // what is added to the gain

TEST_P(BackwardOfRmsNorm, IsTheDerivativeOfItsForward) {
  constexpr std::int64_t rows = 3, width = 7;
  const float offset = GetParam();
  const Floats x = numbers(rows * width, 1), gain = numbers(width, 2), dy = numbers(rows * width, 3);
  const auto norm = [&](const auto& at, const auto& g) {
    Doubles y(rows * width);
    for (std::size_t row = 0; row < rows; ++row) {
      double squares = 0;
      for (std::size_t i = 0; i < width; ++i)
        squares += static_cast<double>(at[row * width + i]) * static_cast<double>(at[row * width + i]);
      for (std::size_t i = 0; i < width; ++i) {
        y[row * width + i] = (static_cast<double>(offset) + static_cast<double>(g[i])) *
                             static_cast<double>(at[row * width + i]) / std::sqrt(squares / width + 1e-5);
      }
    }
    return y;
  };
  Floats y(x.size()), inverse(rows), dx(x.size()), d_gain(width);
  rms_norm_forward_reference({x.data(), gain.data(), y.data(), inverse.data(), rows, width, 1e-5f, offset});
  rms_norm_backward_reference(
      {x.data(), gain.data(), inverse.data(), dy.data(), dx.data(), d_gain.data(), rows, width, false, offset});
  EXPECT_LT(
      testing::relative_error(dx, differences([&](const Doubles& at) { return weighted(norm(at, gain), dy); }, x)),
      1e-5);
  EXPECT_LT(
      testing::relative_error(d_gain, differences([&](const Doubles& at) { return weighted(norm(x, at), dy); }, gain)),
      1e-5);
}

INSTANTIATE_TEST_SUITE_P(GainOffsets, BackwardOfRmsNorm, ::testing::Values(0.0f, 1.0f));

TEST(BackwardOfBias, IsTheDerivativeOfItsForward) {
  constexpr std::int64_t rows = 3, width = 5;
  const Floats bias = numbers(width, 1), x = numbers(rows * width, 2), dy = numbers(rows * width, 3);
  Floats y = x;
  bias_forward_reference({bias.data(), y.data(), rows, width});
  for (std::size_t i = 0; i < y.size(); ++i) EXPECT_FLOAT_EQ(y[i], x[i] + bias[i % width]);
  const auto with_bias = [&](const Doubles& at) {
    Doubles sum(x.begin(), x.end());
    for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += at[i % width];
    return weighted(sum, dy);
  };
  Floats d_bias(width);
  bias_backward_reference({dy.data(), d_bias.data(), rows, width});
  EXPECT_LT(testing::relative_error(d_bias, differences(with_bias, bias)), 1e-5);
}

TEST(BackwardOfGeGlu, IsTheDerivativeOfItsForward) {
  constexpr std::int64_t count = 20;
  const Floats gate = numbers(count, 1, 3), up = numbers(count, 2), dy = numbers(count, 3);
  const auto geglu = [&](const auto& g, const auto& u) {
    Doubles y(count);
    for (std::size_t i = 0; i < count; ++i) {
      const auto x = static_cast<double>(g[i]);
      const double inner = std::sqrt(2 / 3.14159265358979323846) * (x + 0.044715 * x * x * x);
      y[i] = 0.5 * x * (1 + std::tanh(inner)) * static_cast<double>(u[i]);
    }
    return y;
  };
  Floats d_gate(count), d_up(count);
  geglu_backward_reference({gate.data(), up.data(), dy.data(), d_gate.data(), d_up.data(), count});
  EXPECT_LT(testing::relative_error(d_gate,
                                    differences([&](const Doubles& at) { return weighted(geglu(at, up), dy); }, gate)),
            1e-5);
  EXPECT_LT(
      testing::relative_error(d_up, differences([&](const Doubles& at) { return weighted(geglu(gate, at), dy); }, up)),
      1e-5);
}

TEST(BackwardOfSwiGlu, IsTheDerivativeOfItsForward) {
  constexpr std::int64_t count = 20;
  const Floats gate = numbers(count, 1, 3), up = numbers(count, 2), dy = numbers(count, 3);
  const auto swiglu = [&](const auto& g, const auto& u) {
    Doubles y(count);
    for (std::size_t i = 0; i < count; ++i)
      y[i] = static_cast<double>(g[i]) / (1 + std::exp(-static_cast<double>(g[i]))) * static_cast<double>(u[i]);
    return y;
  };
  Floats d_gate(count), d_up(count);
  swiglu_backward_reference({gate.data(), up.data(), dy.data(), d_gate.data(), d_up.data(), count});
  EXPECT_LT(testing::relative_error(d_gate,
                                    differences([&](const Doubles& at) { return weighted(swiglu(at, up), dy); }, gate)),
            1e-5);
  EXPECT_LT(
      testing::relative_error(d_up, differences([&](const Doubles& at) { return weighted(swiglu(gate, at), dy); }, up)),
      1e-5);
}

class BackwardOfCrossEntropy : public ::testing::TestWithParam<float> {};  // soft cap

TEST_P(BackwardOfCrossEntropy, IsTheDerivativeOfTheSummedLoss) {
  const auto cap = static_cast<double>(GetParam());
  const auto capped = [cap](double x) { return cap == 0 ? x : cap * std::tanh(x / cap); };
  constexpr std::int64_t rows = 2, vocabulary = 9;
  Floats logits = numbers(rows * vocabulary, 1, 2);
  const std::vector<std::int32_t> targets = {4, 0};
  const Floats expected = differences(
      [&](const Doubles& at) {
        double loss = 0;
        for (std::size_t row = 0; row < rows; ++row) {
          double sum = 0;
          for (std::size_t i = 0; i < vocabulary; ++i) sum += std::exp(capped(at[row * vocabulary + i]));
          loss += std::log(sum) - capped(at[row * vocabulary + static_cast<std::size_t>(targets[row])]);
        }
        return loss;
      },
      logits);
  Floats sum(1);
  cross_entropy_reference({logits.data(), targets.data(), sum.data(), nullptr, rows, vocabulary, true, GetParam()});
  EXPECT_LT(testing::relative_error(logits, expected), 1e-5);
}

INSTANTIATE_TEST_SUITE_P(SoftCaps, BackwardOfCrossEntropy, ::testing::Values(0.0f, 1.5f));

TEST(BackwardOfRope, UndoesARotation) {
  constexpr std::int64_t rows = 4, heads = 2, d = 6;
  Floats cosine, sine;
  for (int i = 0; i < rows * d / 2; ++i)
    cosine.push_back(std::cos(0.7f * static_cast<float>(i))), sine.push_back(std::sin(0.7f * static_cast<float>(i)));
  const Floats x = numbers(rows * heads * d, 1);
  Floats turned = x;
  rope_reference({turned.data(), cosine.data(), sine.data(), rows, heads, d, 0, false});
  EXPECT_GT(testing::relative_error(turned, x), 0.1);
  rope_reference({turned.data(), cosine.data(), sine.data(), rows, heads, d, 0, true});
  EXPECT_LT(testing::relative_error(turned, x), 1e-6);  // a rotation's transpose is its inverse
}

struct Heads {
  std::int64_t heads, kv_heads, window;
  float soft_cap;
};
class BackwardOfAttention : public ::testing::TestWithParam<Heads> {};

TEST_P(BackwardOfAttention, IsTheDerivativeOfItsForward) {
  constexpr std::int64_t rows = 5, d = 4;
  const auto [heads, kv_heads, window, soft_cap] = GetParam();
  const std::int64_t width = heads * d, kv_width = kv_heads * d, group = heads / kv_heads;
  const Floats q = numbers(rows * width, 1), k = numbers(rows * kv_width, 2), v = numbers(rows * kv_width, 3),
               dy = numbers(rows * width, 4);
  const auto attention = [&, heads = heads, window = window, cap = static_cast<double>(soft_cap)](
                             const auto& query, const auto& key, const auto& value) {
    Doubles y(q.size());
    for (std::int64_t head = 0; head < heads; ++head) {
      for (std::int64_t row = 0; row < rows; ++row) {
        const auto at = static_cast<std::size_t>(row * width + head * d);
        double total = 0;
        for (std::int64_t j = window == 0 ? 0 : std::max<std::int64_t>(0, row - window + 1); j <= row; ++j) {
          const auto kv = static_cast<std::size_t>(j * kv_width + head / group * d);
          double score = 0;
          for (std::size_t i = 0; i < d; ++i)
            score += 0.5 * static_cast<double>(query[at + i]) * static_cast<double>(key[kv + i]);
          if (cap != 0) score = cap * std::tanh(score / cap);
          total += std::exp(score);
          for (std::size_t i = 0; i < d; ++i) y[at + i] += std::exp(score) * static_cast<double>(value[kv + i]);
        }
        for (std::size_t i = 0; i < d; ++i) y[at + i] /= total;
      }
    }
    return y;
  };
  Floats out(q.size()), lse(static_cast<std::size_t>(rows * heads)), dq(q.size()), dk(k.size()), dv(v.size());
  attention_forward_reference({q.data(), k.data(), v.data(), out.data(), lse.data(), rows, rows, heads, kv_heads, d, 0,
                               0.5f, window, soft_cap});
  attention_backward_reference({q.data(), k.data(), v.data(), out.data(), lse.data(), dy.data(), dq.data(), dk.data(),
                                dv.data(), nullptr, rows, heads, kv_heads, d, 0.5f, window, soft_cap});
  EXPECT_LT(
      testing::relative_error(dq, differences([&](const Doubles& at) { return weighted(attention(at, k, v), dy); }, q)),
      1e-5);
  EXPECT_LT(
      testing::relative_error(dk, differences([&](const Doubles& at) { return weighted(attention(q, at, v), dy); }, k)),
      1e-5);
  EXPECT_LT(
      testing::relative_error(dv, differences([&](const Doubles& at) { return weighted(attention(q, k, at), dy); }, v)),
      1e-5);
}

INSTANTIATE_TEST_SUITE_P(Groups, BackwardOfAttention,
                         ::testing::Values(Heads{2, 2, 0, 0}, Heads{4, 2, 0, 0}, Heads{3, 1, 0, 0}, Heads{6, 1, 0, 0},
                                           Heads{4, 2, 3, 0}, Heads{2, 1, 0, 0.4f}, Heads{2, 2, 2, 0.4f}),
                         [](const auto& instance) {
                           return std::to_string(instance.param.heads) + "_heads_of_" +
                                  std::to_string(instance.param.kv_heads) +
                                  (instance.param.window == 0 ? "" : "_in_a_window") +
                                  (instance.param.soft_cap == 0 ? "" : "_capped");
                         });

}  // namespace
}  // namespace ftl
