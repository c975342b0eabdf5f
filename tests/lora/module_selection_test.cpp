#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lora/adapter.h"

namespace ftl {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

const std::vector<LinearModule>& model_modules() {
  static const std::vector<LinearModule> modules = {{"model.layers.0.self_attn.q_proj", 8, 8},
                                                    {"model.layers.0.self_attn.v_proj", 8, 4},
                                                    {"model.layers.0.mlp.up_proj", 8, 16},
                                                    {"model.layers.1.self_attn.q_proj", 8, 8},
                                                    {"model.layers.1.self_attn.v_proj", 8, 4},
                                                    {"model.layers.1.mlp.up_proj", 8, 16},
                                                    {"lm_head", 8, 32}};
  return modules;
}

std::vector<std::string> selected(const std::vector<std::string>& target) {
  const Result<AdapterShape> shape = select_modules({.target = target}, model_modules());
  if (!shape) return {"failure: " + shape.error().what};
  std::vector<std::string> names;
  for (const LinearModule& module : shape->modules) names.push_back(module.name);
  return names;
}

TEST(ModuleSelection, AllMeansEveryLinearLayerButTheOutputEmbedding) {
  EXPECT_EQ(selected({"all"}).size(), 6u);
  EXPECT_EQ(selected({"all-linear"}), selected({"all"}));
}

TEST(ModuleSelection, NamesMatchWholeOrAsASuffixAfterADot) {
  EXPECT_THAT(selected({"v_proj"}), ElementsAre("model.layers.0.self_attn.v_proj", "model.layers.1.self_attn.v_proj"));
  EXPECT_THAT(selected({"layers.1.self_attn.q_proj"}), ElementsAre("model.layers.1.self_attn.q_proj"));
  EXPECT_THAT(selected({"model.layers.0.mlp.up_proj"}), ElementsAre("model.layers.0.mlp.up_proj"));
  EXPECT_THAT(selected({"proj"}), ElementsAre(HasSubstr("\"proj\" names no module")));
}

TEST(ModuleSelection, ListsComeOutInModelOrderAndOnlyOnce) {
  EXPECT_THAT(selected({"v_proj", "q_proj", "self_attn.q_proj"}),
              ElementsAre("model.layers.0.self_attn.q_proj", "model.layers.0.self_attn.v_proj",
                          "model.layers.1.self_attn.q_proj", "model.layers.1.self_attn.v_proj"));
}

TEST(ModuleSelection, ASinglePatternMustMatchTheWholeName) {
  EXPECT_THAT(selected({R"(model\.layers\.1\..*(q|v)_proj)"}),
              ElementsAre("model.layers.1.self_attn.q_proj", "model.layers.1.self_attn.v_proj"));
  EXPECT_THAT(selected({"(q|v)_proj"}), ElementsAre(HasSubstr("matches no whole module name")));
}

TEST(ModuleSelection, AnUnknownNameNamesTheModulesThatExist) {
  const Result<AdapterShape> shape = select_modules({.target = {"q_proj", "query"}}, model_modules());
  ASSERT_FALSE(shape);
  EXPECT_EQ(shape.error().kind, FaultKind::adapter_target_unmatched);
  EXPECT_THAT(shape.error().what,
              testing::AllOf(HasSubstr("\"query\""), HasSubstr("q_proj, v_proj, up_proj, lm_head")));
}

struct BadPattern {
  const char* name;
  std::string pattern;
  const char* says;
};
class BadPatterns : public testing::TestWithParam<BadPattern> {};
TEST_P(BadPatterns, AreRefused) {
  const std::vector<LinearModule> modules = {{std::string(200, 'a') + "!", 8, 8}};
  const Result<AdapterShape> shape = select_modules({.target = {GetParam().pattern}}, modules);
  ASSERT_FALSE(shape);
  EXPECT_EQ(shape.error().kind, FaultKind::config_invalid_value);
  EXPECT_THAT(shape.error().what, HasSubstr(GetParam().says));
}
INSTANTIATE_TEST_SUITE_P(ModuleSelection, BadPatterns,
                         testing::Values(BadPattern{"Unbalanced", "(q_proj", "not valid"},
                                         BadPattern{"Exponential", "(a|aa)+", "steps"},
                                         BadPattern{"TooLong", std::string(5000, '.') + "*", "5001 characters"},
                                         BadPattern{"Explosive", "((((a{1,900}){1,900}){1,900}){1,900})", "not valid"}),
                         [](const auto& test) { return std::string(test.param.name); });

TEST(ModuleSelection, RefusesRanksThatMakeNoAdapter) {
  for (const int rank : {0, -1, 1 << 20}) EXPECT_FALSE(select_modules({.rank = rank}, model_modules())) << rank;
}

TEST(AdapterShape, CountsItsParametersAndScales) {
  const AdapterShape shape = *select_modules({.rank = 4, .alpha = 6, .target = {"v_proj"}}, model_modules());
  EXPECT_EQ(shape.parameters(), 2 * 4 * (8 + 4));
  EXPECT_DOUBLE_EQ(shape.scaling(), 1.5);
  AdapterShape rslora = shape;
  rslora.options.rslora = true;
  EXPECT_DOUBLE_EQ(rslora.scaling(), 3.0);
}

}  // namespace
}  // namespace ftl
