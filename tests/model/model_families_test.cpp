// What a config.json of each family means, in both layouts and where it is silent. Defaults and rules: the
// configuration classes of transformers.
#include <cmath>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "trainer/model/model_config.h"

namespace ftl {
namespace {

using nlohmann::json;
using testing::ElementsAre;

json plain(const char* model_type, const json& changes = json::object()) {
  json config = {{"model_type", model_type}, {"vocab_size", 1000},     {"hidden_size", 64},
                 {"intermediate_size", 128}, {"num_hidden_layers", 4}, {"num_attention_heads", 4},
                 {"num_key_value_heads", 2}};
  config.update(changes);
  return config;
}
ModelConfig parse(const json& config) {
  const Result<ModelConfig> parsed = parse_model_config(config.dump(), "config.json");
  EXPECT_TRUE(parsed) << (parsed ? "" : parsed.error().what);
  return parsed ? *parsed : ModelConfig{};
}
std::vector<std::string> names_of(const ModelConfig& config) {
  std::vector<std::string> names;
  for (const WeightShape& weight : weight_shapes(config)) names.push_back(weight.name);
  return names;
}

TEST(Llama, HasBiasesWhereItIsAsked) {
  const ModelConfig plainly = parse(plain("llama"));
  EXPECT_FALSE(plainly.qkv_bias || plainly.output_bias || plainly.mlp_bias || plainly.tied_embeddings);
  const ModelConfig biased = parse(plain("llama", {{"attention_bias", true}, {"mlp_bias", true}}));
  EXPECT_TRUE(biased.qkv_bias && biased.output_bias && biased.mlp_bias);
  EXPECT_THAT(names_of(biased),
              testing::IsSupersetOf({"model.layers.0.self_attn.o_proj.bias", "model.layers.3.mlp.down_proj.bias"}));
}

TEST(Mistral, SlidesInEveryLayerUnlessTheWindowIsNull) {
  EXPECT_EQ(parse(plain("mistral")).window, 4096);
  const ModelConfig sliding = parse(plain("mistral", {{"sliding_window", 100}}));
  for (std::size_t layer = 0; layer < 4; ++layer) EXPECT_EQ(sliding.window_of(layer), 100);
  const ModelConfig full = parse(plain("mistral", {{"sliding_window", nullptr}, {"head_dim", 10}}));
  EXPECT_EQ(full.window, 0);
  EXPECT_EQ(full.head_dim, 10);
  EXPECT_EQ(parse(plain("mistral", {{"num_key_value_heads", nullptr}})).kv_heads, 4);
}

TEST(Qwen2, HasBiasesOfQueryKeyAndValueAndSlidesWhereItIsToldTo) {
  const ModelConfig config = parse(plain("qwen2", {{"sliding_window", 50}, {"max_window_layers", 1}}));
  EXPECT_TRUE(config.qkv_bias);
  EXPECT_FALSE(config.output_bias || config.mlp_bias);
  EXPECT_EQ(config.window, 0);  // use_sliding_window is false where it is not given
  const json in_use = {{"use_sliding_window", true}, {"sliding_window", 50}, {"max_window_layers", 1}};
  EXPECT_THAT(parse(plain("qwen2", in_use)).sliding_layers, ElementsAre(false, true, true, true));
  json all = in_use;
  all["max_window_layers"] = 0;
  EXPECT_THAT(parse(plain("qwen2", all)).sliding_layers, ElementsAre(true, true, true, true));
  json listed = in_use;
  listed["layer_types"] = {"sliding_attention", "full_attention", "full_attention", "full_attention"};
  EXPECT_THAT(parse(plain("qwen2", listed)).sliding_layers, ElementsAre(true, false, false, false));
}

TEST(Qwen3, NormsQueriesAndKeysAndHasAHeadDimensionOfItsOwn) {
  const ModelConfig config = parse(plain("qwen3"));
  EXPECT_TRUE(config.qk_norm);
  EXPECT_FALSE(config.qkv_bias);
  EXPECT_EQ(config.head_dim, 128);
  EXPECT_THAT(names_of(config), testing::Contains("model.layers.2.self_attn.k_norm.weight"));
}

TEST(Gemma2, DiffersInAllThatItDiffersIn) {
  const ModelConfig config = parse(plain("gemma2"));
  EXPECT_EQ(config.activation, Activation::gelu_tanh);
  EXPECT_TRUE(config.tied_embeddings && config.post_norms);
  EXPECT_FALSE(config.qk_norm);
  EXPECT_EQ(config.norm_offset, 1);
  EXPECT_EQ(config.embedding_scale, 8);
  EXPECT_EQ(config.head_dim, 256);
  EXPECT_EQ(config.attention_scale(), 1.0 / 16);
  EXPECT_EQ(config.attention_soft_cap, 50);
  EXPECT_EQ(config.logit_soft_cap, 30);
  EXPECT_EQ(config.window, 4096);
  EXPECT_THAT(config.sliding_layers, ElementsAre(true, false, true, false));
  EXPECT_FALSE(config.has_sliding_rope());
  EXPECT_EQ(parse(plain("gemma2", {{"attn_logit_softcapping", nullptr}})).attention_soft_cap, 0);
}

TEST(Gemma3, SlidesInPatternsWithAnglesOfItsOwn) {
  const json scaling = {{"rope_type", "linear"}, {"factor", 8.0}};
  const json version4 = plain("gemma3_text", {{"num_hidden_layers", 7},
                                              {"sliding_window", 512},
                                              {"rope_theta", 1e6},
                                              {"rope_local_base_freq", 1e4},
                                              {"rope_scaling", scaling}});
  const ModelConfig config = parse(version4);
  EXPECT_TRUE(config.qk_norm && config.post_norms && config.tied_embeddings);
  EXPECT_EQ(config.attention_soft_cap, 0);
  EXPECT_EQ(config.logit_soft_cap, 0);
  EXPECT_THAT(config.sliding_layers, ElementsAre(true, true, true, true, true, false, true));
  EXPECT_EQ(config.rope.kind, RopeKind::linear);
  EXPECT_EQ(config.sliding_rope, RopeParameters{});
  EXPECT_EQ(config.max_positions, 131072);

  json version5 = version4;
  for (const char* key : {"rope_theta", "rope_local_base_freq", "rope_scaling"}) version5.erase(key);
  version5["rope_parameters"] = {{"full_attention", {{"rope_type", "linear"}, {"factor", 8.0}, {"rope_theta", 1e6}}},
                                 {"sliding_attention", {{"rope_type", "default"}, {"rope_theta", 1e4}}}};
  EXPECT_EQ(text_of(parse(version5)), text_of(config));

  json silent = version4;
  for (const char* key : {"rope_theta", "rope_local_base_freq"}) silent.erase(key);
  EXPECT_EQ(text_of(parse(silent)), text_of(config));
}

TEST(Rope, IsTheSameInBothLayouts) {
  const json scaling = {{"factor", 4.0},
                        {"low_freq_factor", 1.0},
                        {"high_freq_factor", 4.0},
                        {"rope_type", "llama3"},
                        {"original_max_position_embeddings", 8192}};
  const ModelConfig version4 = parse(plain("llama", {{"rope_theta", 5e5}, {"rope_scaling", scaling}}));
  json parameters = scaling;
  parameters["rope_theta"] = 5e5;
  EXPECT_EQ(text_of(parse(plain("llama", {{"rope_parameters", parameters}}))), text_of(version4));
  EXPECT_EQ(version4.rope.original_positions, 8192);
  EXPECT_EQ(version4.max_positions, 32768);
}

TEST(Rope, OfYarnHasTheMagnitudeOfItsFactorUnlessItIsGiven) {
  const auto magnitude = [](json scaling) {
    scaling["rope_type"] = "yarn";
    return parse(plain("qwen2", {{"rope_scaling", scaling}})).rope.magnitude;
  };
  EXPECT_DOUBLE_EQ(magnitude({{"factor", 4.0}}), 0.1 * std::log(4.0) + 1);
  EXPECT_DOUBLE_EQ(magnitude({{"factor", 0.5}}), 1);
  EXPECT_DOUBLE_EQ(magnitude({{"factor", 4.0}, {"attention_factor", 1.5}}), 1.5);
  EXPECT_DOUBLE_EQ(magnitude({{"factor", 4.0}, {"mscale", 2.0}, {"mscale_all_dim", 1.0}}),
                   (0.2 * std::log(4.0) + 1) / (0.1 * std::log(4.0) + 1));
  EXPECT_DOUBLE_EQ(magnitude({{"factor", 4.0}, {"mscale", 2.0}, {"mscale_all_dim", 0}}), 0.1 * std::log(4.0) + 1);
}

// What config.json names are the positions before they were stretched.
TEST(Rope, StretchesPositionsAsFarAsItsFactor) {
  const json scaling = {{"type", "dynamic"}, {"factor", 2.0}};
  EXPECT_EQ(parse(plain("llama", {{"rope_scaling", scaling}})).max_positions, 4096);
  const json with_yarn = {{"type", "yarn"}, {"factor", 4.0}, {"original_max_position_embeddings", 32768}};
  EXPECT_EQ(parse(plain("qwen2", {{"rope_scaling", with_yarn}})).max_positions, 131072);
}

TEST(TextOfAModel, ShowsEveryTrait) {
  const ModelConfig config = parse(plain("gemma3_text"));
  const auto differs = [&](auto change) {
    ModelConfig other = config;
    change(other);
    return text_of(other) != text_of(config);
  };
  EXPECT_TRUE(differs([](ModelConfig& c) { c.window = 5; }));
  EXPECT_TRUE(differs([](ModelConfig& c) { c.sliding_layers[0] = false; }));
  EXPECT_TRUE(differs([](ModelConfig& c) { c.sliding_rope.theta = 5; }));
  EXPECT_TRUE(differs([](ModelConfig& c) { c.rope.magnitude = 5; }));
  EXPECT_TRUE(differs([](ModelConfig& c) { c.logit_soft_cap = 5; }));
  EXPECT_TRUE(differs([](ModelConfig& c) { c.qk_norm = false; }));
}

}  // namespace
}  // namespace ftl
