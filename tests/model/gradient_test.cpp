// Gradients against central differences of an independent model in double.
#include <gtest/gtest.h>

#include "tests/model/reference_model.h"
#include "tests/model/tiny_model.h"

namespace ftl {
namespace {

reference::Values values_of(std::span<const TrainableTensor> layout) {
  reference::Values values;
  for (const TrainableTensor& tensor : layout) values[tensor.name].assign(tensor.values, tensor.values + tensor.count);
  return values;
}

reference::Model reference_of(tiny::Model& model, bool with_adapter) {
  reference::Model made{model.config,
                        values_of(model.llama.weights()),
                        {},
                        model.adapter.shape().options.rank,
                        model.adapter.shape().scaling()};
  if (with_adapter) made.adapter = values_of(model.adapter.layout());
  return made;
}

// A handful of elements of every tensor, the first and the last among them.
void expect_differences(const reference::Model& model, reference::Values reference::Model::*part,
                        std::span<const TrainableTensor> layout, const tiny::Text& text,
                        const std::vector<float>& gradient) {
  constexpr double step = 1e-5;
  reference::Model moved = model;
  for (const TrainableTensor& tensor : layout) {
    for (std::int64_t i = 0; i < tensor.count; i += std::max<std::int64_t>(1, (tensor.count - 1) / 4)) {
      double& value = (moved.*part).at(tensor.name)[static_cast<std::size_t>(i)];
      const double kept = value;
      value = kept + step;
      const double above = moved.loss(text.ids, text.targets);
      value = kept - step;
      const double below = moved.loss(text.ids, text.targets);
      value = kept;
      const double expected = (above - below) / (2 * step);
      EXPECT_NEAR(gradient[static_cast<std::size_t>(tensor.offset + i)], expected, 2e-4 * (1 + std::abs(expected)))
          << tensor.name << " element " << i;
    }
  }
}

TEST(Gradient, LossEqualsTheReference) {
  for (const bool tied : {false, true}) {
    tiny::Model model({"all"}, tied);
    const tiny::Text text = tiny::text_of(9);
    EXPECT_NEAR(tiny::run(model, 9, text).loss, reference_of(model, true).loss(text.ids, text.targets), 1e-4);
    EXPECT_NEAR(tiny::run(model, 9, text, true).loss, reference_of(model, false).loss(text.ids, text.targets), 1e-4);
  }
}

// Every choice of targets stops the backward pass at another place.
class AdapterGradient : public testing::TestWithParam<std::vector<std::string>> {};

TEST_P(AdapterGradient, IsTheDerivativeOfTheLossSum) {
  tiny::Model model(GetParam());
  const tiny::Text text = tiny::text_of(9);
  const tiny::Outcome outcome = tiny::run(model, 9, text);
  expect_differences(reference_of(model, true), &reference::Model::adapter, model.adapter.layout(), text,
                     outcome.gradient);
}

INSTANTIATE_TEST_SUITE_P(
    Targets, AdapterGradient,
    testing::Values(std::vector<std::string>{"all"}, std::vector<std::string>{"q_proj", "v_proj"},
                    std::vector<std::string>{"k_proj"}, std::vector<std::string>{"o_proj"},
                    std::vector<std::string>{"up_proj"}, std::vector<std::string>{"gate_proj"},
                    std::vector<std::string>{"down_proj"}, std::vector<std::string>{"layers.1.mlp.down_proj"},
                    std::vector<std::string>{"layers.1.self_attn.v_proj", "layers.0.mlp.up_proj"}));

TEST(Gradient, IsTheDerivativeForEveryWeight) {
  for (const bool tied : {false, true}) {
    tiny::Model model({"all"}, tied);
    const tiny::Text text = tiny::text_of(9);
    const tiny::Outcome outcome = tiny::run(model, 9, text, true);
    expect_differences(reference_of(model, false), &reference::Model::weights, model.llama.weights(), text,
                       outcome.gradient);
  }
}

TEST(Gradient, OfASequenceWithoutTargetsIsZero) {
  tiny::Model model;
  tiny::Text text = tiny::text_of(9);
  text.targets.assign(9, -1);
  for (const bool full : {false, true}) {
    const tiny::Outcome outcome = tiny::run(model, 9, text, full);
    EXPECT_EQ(outcome.loss, 0);
    EXPECT_EQ(outcome.gradient, std::vector<float>(outcome.gradient.size(), 0.0f));
  }
}

}  // namespace
}  // namespace ftl
