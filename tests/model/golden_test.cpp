// Our models against PyTorch, transformers and PEFT: logits, losses, every gradient tensor and a training curve.
#include <gtest/gtest.h>

#include <cmath>

#include "tests/model/golden_case.h"
#include "trainer/optimizer/adamw.h"
#include "trainer/optimizer/schedule.h"

namespace ftl {
namespace {

using golden::Case;
using golden::relative_difference;
using golden::require;

constexpr double tolerance = 1e-5;
constexpr std::int64_t longest = 40;

// Sums over the sequences of the batch, in order.
struct BatchSum {
  double loss = 0;
  std::int64_t tokens = 0;
  std::vector<float> gradient;
};

BatchSum sum_over_batch(Case& example, Workspace& workspace, const Adapter* adapter, std::int64_t parameters) {
  BatchSum sum{.loss = 0, .tokens = 0, .gradient = std::vector<float>(static_cast<std::size_t>(parameters))};
  std::vector<float> leaf(sum.gradient.size(), NAN);  // loss() must overwrite every value
  for (const golden::Sequence& sequence : example.sequences) {
    const LossSum loss =
        require(example.model.loss(*example.stream, workspace, adapter, sequence.ids, sequence.targets, leaf.data()));
    sum.loss += loss.loss;
    sum.tokens += loss.tokens;
    for (std::size_t i = 0; i < leaf.size(); ++i) sum.gradient[i] += leaf[i];
  }
  return sum;
}

void expect_gradients(const Case& example, const BatchSum& sum, std::span<const TrainableTensor> layout,
                      const std::string& prefix) {
  for (const TrainableTensor& tensor : layout) {
    std::vector<float> ours(sum.gradient.begin() + tensor.offset, sum.gradient.begin() + tensor.offset + tensor.count);
    for (float& value : ours) value /= static_cast<float>(sum.tokens);
    EXPECT_LE(relative_difference(ours, example.tensor(prefix + tensor.name)), tolerance) << prefix << tensor.name;
  }
}

class Golden : public testing::TestWithParam<const char*> {
 protected:
  Case example{GetParam()};
};
class GoldenOfTwoProjections : public Golden {};
class GoldenOfEveryWeight : public Golden {};

TEST_P(Golden, LogitsEqualTheBaseModels) {
  auto workspace = require(example.model.make_workspace(longest, false));
  for (std::size_t i = 0; i < example.sequences.size(); ++i) {
    std::vector<float> logits(example.sequences[i].ids.size() * static_cast<std::size_t>(example.config.vocabulary));
    require(example.model.logits(*example.stream, *workspace, nullptr, example.sequences[i].ids, logits));
    EXPECT_LE(relative_difference(logits, example.tensor("logits." + std::to_string(i))), tolerance)
        << "sequence " << i;
  }
}

TEST_P(Golden, LogitsEqualPeftsWithAnAdapter) {
  const Adapter adapter = example.adapter("adapter");
  auto workspace = require(example.model.make_workspace(longest, false, &adapter.shape()));
  for (std::size_t i = 0; i < example.sequences.size(); ++i) {
    std::vector<float> logits(example.sequences[i].ids.size() * static_cast<std::size_t>(example.config.vocabulary));
    require(example.model.logits(*example.stream, *workspace, &adapter, example.sequences[i].ids, logits));
    EXPECT_LE(relative_difference(logits, example.tensor("adapter_logits." + std::to_string(i))), tolerance)
        << "sequence " << i;
  }
}

TEST_P(Golden, EveryAdapterGradientAndTheLossEqualPeftsForAllProjections) {
  const Adapter adapter = example.adapter("adapter");
  auto workspace = require(example.model.make_workspace(longest, true, &adapter.shape()));
  const BatchSum sum = sum_over_batch(example, *workspace, &adapter, adapter.parameters());
  EXPECT_EQ(sum.tokens, example.expected["supervised_tokens"].get<std::int64_t>());
  EXPECT_NEAR(sum.loss / static_cast<double>(sum.tokens), example.expected["loss_fp64"].get<double>(), tolerance);
  expect_gradients(example, sum, adapter.layout(), "grad.");
}

TEST_P(GoldenOfTwoProjections, EveryAdapterGradientAndTheLossEqualPefts) {
  const Adapter adapter = example.adapter("adapter_qv");
  auto workspace = require(example.model.make_workspace(longest, true, &adapter.shape()));
  const BatchSum sum = sum_over_batch(example, *workspace, &adapter, adapter.parameters());
  EXPECT_NEAR(sum.loss / static_cast<double>(sum.tokens), example.expected["qv_loss_fp64"].get<double>(), tolerance);
  expect_gradients(example, sum, adapter.layout(), "qv_grad.");
}

TEST_P(GoldenOfEveryWeight, EveryGradientEqualsPyTorchs) {
  auto workspace = require(example.model.make_workspace(longest, true));
  const BatchSum sum = sum_over_batch(example, *workspace, nullptr, weight_count(example.config));
  EXPECT_NEAR(sum.loss / static_cast<double>(sum.tokens), example.expected["base_loss_fp64"].get<double>(), tolerance);
  expect_gradients(example, sum, example.model.weights(), "full_grad.");
}

TEST_P(Golden, TrainingFollowsTorchsCurve) {
  const nlohmann::json curve = golden::read_json(example.directory + "/curve.json");
  const Adapter adapter = example.adapter("adapter");
  auto workspace = require(example.model.make_workspace(longest, true, &adapter.shape()));
  const AdamWSettings settings{.beta1 = curve["optimizer"]["betas"][0],
                               .beta2 = curve["optimizer"]["betas"][1],
                               .epsilon = curve["optimizer"]["eps"],
                               .weight_decay = curve["optimizer"]["weight_decay"],
                               .max_grad_norm = curve["max_grad_norm"]};
  const Schedule schedule{.kind = require(schedule_named(curve["schedule"]["name"])),
                          .warmup_steps = curve["schedule"]["warmup_steps"],
                          .total_steps = curve["schedule"]["total_steps"]};
  AdamWOptimizer optimizer = require(AdamWOptimizer::create(*example.device, adapter.layout(), settings));
  ASSERT_EQ(curve["steps"].size(), 20u);
  for (const nlohmann::json& step : curve["steps"]) {
    const auto index = step["step"].get<std::int64_t>();
    const BatchSum sum = sum_over_batch(example, *workspace, &adapter, adapter.parameters());
    const double rate =
        curve["schedule"]["base_learning_rate"].get<double>() * learning_rate_multiplier(schedule, index);
    EXPECT_NEAR(rate, step["learning_rate"].get<double>(), 1e-12) << "step " << index;
    const UpdateReport report = require(
        optimizer.step(*example.stream, sum.gradient.data(), 1.0 / static_cast<double>(sum.tokens), index + 1, rate));
    EXPECT_NEAR(sum.loss / static_cast<double>(sum.tokens), step["loss"].get<double>(), 1e-4) << "step " << index;
    EXPECT_NEAR(report.gradient_norm, step["grad_norm"].get<double>(), 1e-4 * step["grad_norm"].get<double>())
        << "step " << index;
  }
}

std::string name_of(const testing::TestParamInfo<const char*>& test) { return test.param; }
INSTANTIATE_TEST_SUITE_P(Llamas, Golden, testing::ValuesIn(golden::llama_cases), name_of);
INSTANTIATE_TEST_SUITE_P(Families, Golden, testing::ValuesIn(golden::family_cases), name_of);
INSTANTIATE_TEST_SUITE_P(Variants, Golden, testing::ValuesIn(golden::variant_cases), name_of);
INSTANTIATE_TEST_SUITE_P(Llamas, GoldenOfTwoProjections, testing::ValuesIn(golden::llama_cases), name_of);
INSTANTIATE_TEST_SUITE_P(Llamas, GoldenOfEveryWeight, testing::ValuesIn(golden::llama_cases), name_of);
INSTANTIATE_TEST_SUITE_P(Families, GoldenOfEveryWeight, testing::ValuesIn(golden::family_cases), name_of);

}  // namespace
}  // namespace ftl
