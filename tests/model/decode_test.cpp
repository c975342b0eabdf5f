#include <gtest/gtest.h>

#include <numeric>

#include "tests/model/golden_case.h"
#include "tests/model/tiny_model.h"
#include "trainer/model/generate.h"

namespace ftl {
namespace {

constexpr std::int64_t length = 40;

std::vector<float> last_logits(tiny::Model& model, const std::vector<std::int32_t>& ids) {
  auto workspace =
      std::move(*model.llama.make_workspace(static_cast<std::int64_t>(ids.size()), false, &model.adapter.shape()));
  std::vector<float> all(ids.size() * 53);
  EXPECT_TRUE(model.llama.logits(*model.stream, *workspace, &model.adapter, ids, all));
  return {all.end() - 53, all.end()};
}

class Decode : public testing::TestWithParam<bool> {};  // with every trait

TEST_P(Decode, GivesTheLogitsOfTheWholeSequenceHoweverItIsFed) {
  tiny::Model model(GetParam() ? tiny::with_every_trait() : tiny::config_of(false));
  const std::vector<std::int32_t> ids = tiny::text_of(length).ids;
  for (const bool training : {false, true}) {
    for (const std::size_t prefill : {1u, 7u, 39u}) {
      auto workspace = std::move(*model.llama.make_workspace(length, training, &model.adapter.shape()));
      std::vector<float> logits(53);
      ASSERT_TRUE(
          model.llama.decode(*model.stream, *workspace, &model.adapter, std::span(ids).first(prefill), 0, logits));
      for (std::size_t i = prefill; i < ids.size(); ++i) {
        ASSERT_TRUE(model.llama.decode(*model.stream, *workspace, &model.adapter, std::span(ids).subspan(i, 1),
                                       static_cast<std::int64_t>(i), logits));
      }
      EXPECT_LE(golden::relative_difference(logits, last_logits(model, ids)), 1e-5) << prefill;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Traits, Decode, testing::Bool());

TEST(DecodeAlone, RefusesWhatDoesNotFitTheWorkspace) {
  tiny::Model model;
  const std::vector<std::int32_t> ids = tiny::text_of(length).ids;
  auto workspace = std::move(*model.llama.make_workspace(10, false, &model.adapter.shape()));
  std::vector<float> logits(53);
  EXPECT_FALSE(model.llama.decode(*model.stream, *workspace, &model.adapter, ids, 0, logits));
  EXPECT_FALSE(model.llama.decode(*model.stream, *workspace, &model.adapter, std::span(ids).first(1), 10, logits));
  auto without_adapter = std::move(*model.llama.make_workspace(10, false));
  EXPECT_FALSE(model.llama.decode(*model.stream, *without_adapter, &model.adapter, std::span(ids).first(1), 0, logits));
}

TEST(Generate, GreedilyTakesTheMostLikelyTokenOfTheWholeSequence) {
  tiny::Model model;
  std::vector<std::int32_t> ids = {3, 14, 15};
  const auto made = generate(*model.stream, model.llama, &model.adapter, ids,
                             {.max_new_tokens = 6, .temperature = 0, .seed = 1, .stop_ids = {}});
  ASSERT_TRUE(made);
  ASSERT_EQ(made->size(), 6u);
  for (const std::int32_t token : *made) {
    EXPECT_EQ(token, choose_token(last_logits(model, ids), 0, 0.5));
    ids.push_back(token);
  }
}

TEST(Generate, EndsBeforeAStopIdAndAtTheLastPosition) {
  tiny::Model model;
  const std::vector<std::int32_t> prompt = {3, 14, 15};
  const auto free = *generate(*model.stream, model.llama, nullptr, prompt,
                              {.max_new_tokens = 6, .temperature = 0, .seed = 1, .stop_ids = {}});
  const auto stopped = *generate(*model.stream, model.llama, nullptr, prompt,
                                 {.max_new_tokens = 6, .temperature = 0, .seed = 1, .stop_ids = {free[2]}});
  const auto first = std::find(free.begin(), free.end(), free[2]);
  EXPECT_EQ(stopped, std::vector<std::int32_t>(free.begin(), first));
  const std::vector<std::int32_t> full(512, 1), over(513, 1);
  EXPECT_EQ(generate(*model.stream, model.llama, nullptr, full, {})->size(), 1u);
  EXPECT_EQ(generate(*model.stream, model.llama, nullptr, over, {}).error().kind,
            FaultKind::sequence_exceeds_positions);
}

TEST(Generate, SamplesAsAFunctionOfTheSeed) {
  tiny::Model model;
  const std::vector<std::int32_t> prompt = {3, 14, 15};
  const auto sample = [&](std::uint64_t seed) {
    return *generate(*model.stream, model.llama, nullptr, prompt,
                     {.max_new_tokens = 20, .temperature = 1, .seed = seed, .stop_ids = {}});
  };
  EXPECT_EQ(sample(1), sample(1));
  EXPECT_NE(sample(1), sample(2));
}

TEST(Generate, ChoosesEachTokenWithItsProbability) {
  const std::vector<float> logits = {std::log(1.0f), std::log(5.0f), std::log(4.0f)};
  std::vector<int> count(3);
  for (int i = 0; i < 1000; ++i) ++count[static_cast<std::size_t>(choose_token(logits, 1.0, (i + 0.5) / 1000))];
  EXPECT_EQ(count, (std::vector<int>{100, 500, 400}));
  EXPECT_EQ(choose_token(logits, 0, 0.05), 1);
  EXPECT_EQ(choose_token(logits, 1e-3, 0.999), 1);
}

}  // namespace
}  // namespace ftl
