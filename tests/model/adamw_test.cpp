#include "trainer/optimizer/adamw.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "tests/model/tiny_model.h"

namespace ftl {
namespace {

// torch.optim.AdamW in double, one value at a time.
struct Scalar {
  double p, m = 0, v = 0;
  void step(double g, int t, double rate, const AdamWSettings& s, double decay) {
    p -= rate * decay * p;
    m = s.beta1 * m + (1 - s.beta1) * g;
    v = s.beta2 * v + (1 - s.beta2) * g * g;
    p -= rate / (1 - std::pow(s.beta1, t)) * m / (std::sqrt(v / (1 - std::pow(s.beta2, t))) + s.epsilon);
  }
};

class AdamWTest : public testing::Test {
 protected:
  AdamWTest() : parameters(tiny::noise(30, 1, 2)), gradient(tiny::noise(30, 2, 20)) {}
  AdamWOptimizer optimizer(const AdamWSettings& settings) {
    const std::vector<TrainableTensor> layout = {{"first", {4, 3}, 0, 12, parameters.data(), true},
                                                 {"second", {8}, 12, 8, parameters.data() + 12, true},
                                                 {"gain", {10}, 20, 10, parameters.data() + 20, false}};
    return std::move(*AdamWOptimizer::create(*device, layout, settings));
  }
  double norm(double factor) const {
    double sum = 0;
    for (const float g : gradient) sum += factor * factor * g * g;
    return std::sqrt(sum);
  }

  std::unique_ptr<Device> device = std::move(*make_cpu_device());
  std::unique_ptr<Stream> stream = std::move(*device->make_stream(1));
  std::vector<float> parameters, gradient;
};

TEST_F(AdamWTest, FollowsTorchWithClippingAndDecaysWeightsButNotGains) {
  const AdamWSettings settings{.weight_decay = 0.1, .max_grad_norm = 1.5};
  std::vector<Scalar> expected;
  for (const float p : parameters) expected.push_back({p});
  AdamWOptimizer adamw = optimizer(settings);
  for (int t = 1; t <= 5; ++t) {
    const double factor = 1.0 / (3 + t), rate = 0.01 * t;
    const auto report = adamw.step(*stream, gradient.data(), factor, t, rate);
    ASSERT_TRUE(report);
    EXPECT_NEAR(report->gradient_norm, norm(factor), 1e-5 * norm(factor));
    EXPECT_EQ(report->non_finite_index, -1);
    const double clip = std::min(1.0, 1.5 / (norm(factor) + 1e-6));
    for (std::size_t i = 0; i < expected.size(); ++i) {
      expected[i].step(factor * clip * gradient[i], t, rate, settings, i < 20 ? 0.1 : 0.0);
      EXPECT_NEAR(parameters[i], expected[i].p, 1e-5) << i << " at step " << t;
      EXPECT_NEAR(adamw.exp_avg()[i], expected[i].m, 1e-6) << i;
      EXPECT_NEAR(adamw.exp_avg_sq()[i], expected[i].v, 1e-6) << i;
    }
    std::swap(gradient[0], gradient[static_cast<std::size_t>(t)]);
  }
}

TEST_F(AdamWTest, DoesNotClipASmallGradientNorWhenClippingIsOff) {
  for (const double limit : {1e6, 0.0}) {
    AdamWOptimizer adamw = optimizer({.max_grad_norm = limit});
    ASSERT_TRUE(adamw.step(*stream, gradient.data(), 1, 1, 0.1));
    for (std::size_t i = 0; i < gradient.size(); ++i) EXPECT_NEAR(adamw.exp_avg()[i], 0.1 * gradient[i], 1e-5) << limit;
  }
}

TEST_F(AdamWTest, AGradientThatIsNotFiniteIsNamedAndChangesNothing) {
  AdamWOptimizer adamw = optimizer({});
  const std::vector<float> before = parameters;
  for (const float poison : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    std::vector<float> poisoned = gradient;
    poisoned[15] = poison;
    poisoned[25] = poison;
    const auto report = adamw.step(*stream, poisoned.data(), 1, 1, 0.1);
    ASSERT_TRUE(report);
    EXPECT_EQ(report->non_finite_index, 15);
    EXPECT_EQ(report->non_finite_tensor, "second");
    EXPECT_EQ(parameters, before);
    EXPECT_EQ(adamw.exp_avg()[15], 0.0f);
  }
}

TEST_F(AdamWTest, GivesSignsOfLifeWithinALargeUpdateAndTheBitsOfASingleOne) {
  const std::int64_t count = (std::int64_t{1} << 22) + 5;
  const std::vector<float> start = tiny::noise(count, 1, 2), slope = tiny::noise(count, 2, 20);
  std::vector<float> pieces = start, at_once = start, m(start.size()), v(start.size());
  const std::vector<TrainableTensor> layout = {{"large", {count}, 0, count, pieces.data(), true}};
  AdamWOptimizer adamw = std::move(*AdamWOptimizer::create(*device, layout, {.max_grad_norm = 0}));
  int signs = 0;
  ASSERT_TRUE(adamw.step(*stream, slope.data(), 1, 1, 0.1, [&] { ++signs; }));
  EXPECT_EQ(signs, 2);
  device->kernels().adamw(*stream, {.parameters = at_once.data(),
                                    .gradient = slope.data(),
                                    .m = m.data(),
                                    .v = v.data(),
                                    .count = count,
                                    .step = 1,
                                    .learning_rate = 0.1F,
                                    .beta1 = 0.9F,
                                    .beta2 = 0.999F,
                                    .epsilon = 1e-8F,
                                    .weight_decay = 0,
                                    .gradient_scale = 1});
  ASSERT_TRUE(stream->synchronize());
  EXPECT_TRUE(pieces == at_once);
}

TEST_F(AdamWTest, ViewsShowParametersAndMomentsInPlace) {
  AdamWOptimizer adamw = optimizer({});
  const std::vector<TrainableView> views = adamw.views();
  ASSERT_EQ(views.size(), 3u);
  EXPECT_EQ(views[1].name, "second");
  EXPECT_EQ(views[1].values.data(), parameters.data() + 12);
  EXPECT_EQ(views[1].exp_avg.data(), adamw.exp_avg() + 12);
  EXPECT_EQ(views[2].exp_avg_sq.size(), 10u);
}

}  // namespace
}  // namespace ftl
