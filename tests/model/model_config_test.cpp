#include "trainer/model/model_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace ftl {
namespace {

using nlohmann::json;
using testing::HasSubstr;

json plain() {
  return {{"model_type", "llama"},       {"vocab_size", 128256},
          {"hidden_size", 2048},         {"intermediate_size", 8192},
          {"num_hidden_layers", 16},     {"num_attention_heads", 32},
          {"num_key_value_heads", 8},    {"max_position_embeddings", 131072},
          {"rms_norm_eps", 1e-5},        {"rope_theta", 500000.0},
          {"tie_word_embeddings", true}, {"hidden_act", "silu"}};
}
json changed(const json& changes) {
  json config = plain();
  config.update(changes);
  return config;
}
Result<ModelConfig> parse(const json& config) { return parse_model_config(config.dump(), "config.json"); }

TEST(ModelConfig, ReadsTheLayoutOfTransformers4) {
  const ModelConfig config = *parse(plain());
  EXPECT_EQ(config.vocabulary, 128256);
  EXPECT_EQ(config.width, 2048);
  EXPECT_EQ(config.ffn_width, 8192);
  EXPECT_EQ(config.layers, 16);
  EXPECT_EQ(config.heads, 32);
  EXPECT_EQ(config.kv_heads, 8);
  EXPECT_EQ(config.head_dim, 64);
  EXPECT_EQ(config.max_positions, 131072);
  EXPECT_EQ(config.rope.theta, 500000.0);
  EXPECT_EQ(config.rms_norm_epsilon, 1e-5);
  EXPECT_TRUE(config.tied_embeddings);
}

TEST(ModelConfig, ReadsTheLayoutOfTransformers5) {
  json config = plain();
  config.erase("rope_theta");
  config["rope_parameters"] = {{"rope_type", "default"}, {"rope_theta", 250000.0}};
  EXPECT_EQ(parse(config)->rope.theta, 250000.0);
}

TEST(ModelConfig, FillsInTheFamilysDefaults) {
  json config = plain();
  for (const char* key : {"num_key_value_heads", "rms_norm_eps", "rope_theta", "tie_word_embeddings", "hidden_act",
                          "max_position_embeddings"})
    config.erase(key);
  const ModelConfig read = *parse(config);
  EXPECT_EQ(read.kv_heads, 32);
  EXPECT_EQ(read.rope.theta, 10000);
  EXPECT_EQ(read.rms_norm_epsilon, 1e-6);
  EXPECT_FALSE(read.tied_embeddings);
}

TEST(ModelConfig, AnExplicitHeadDimensionNeedNotDivideTheWidth) {
  const ModelConfig config = *parse(changed({{"head_dim", 80}, {"hidden_size", 2050}}));
  EXPECT_EQ(config.head_dim, 80);
  EXPECT_EQ(config.query_width(), 32 * 80);
  EXPECT_EQ(config.kv_width(), 8 * 80);
}

struct Wrong {
  const char* name;
  json change;
  FaultKind kind;
  const char* says;
};
class WrongConfigs : public testing::TestWithParam<Wrong> {};
TEST_P(WrongConfigs, AreRefusedWithWhatAndWhere) {
  const Result<ModelConfig> config = parse(changed(GetParam().change));
  ASSERT_FALSE(config);
  EXPECT_EQ(config.error().kind, GetParam().kind);
  EXPECT_THAT(config.error().what, HasSubstr(GetParam().says));
  EXPECT_EQ(config.error().where, "config.json");
}
constexpr FaultKind invalid = FaultKind::model_config_invalid, unsupported = FaultKind::model_family_unsupported;
INSTANTIATE_TEST_SUITE_P(
    ModelConfig, WrongConfigs,
    testing::Values(
        Wrong{"zero", {{"hidden_size", 0}}, invalid, "\"hidden_size\" is 0"},
        Wrong{"negative", {{"vocab_size", -5}}, invalid, "\"vocab_size\" is -5"},
        Wrong{"huge", {{"num_hidden_layers", 1000000000}}, invalid, "must be 1 to 4096"},
        Wrong{
            "beyond_int64", {{"vocab_size", 18446744073709551615u}}, invalid, "\"vocab_size\" is 18446744073709551615"},
        Wrong{"text", {{"hidden_size", "2048"}}, invalid, "must be a whole number"},
        Wrong{"fraction", {{"hidden_size", 2048.5}}, invalid, "whole number"},
        Wrong{"list", {{"intermediate_size", {8192}}}, invalid, "is a list"},
        Wrong{"missing", {{"hidden_size", nullptr}}, invalid, "\"hidden_size\" is missing"},
        Wrong{"kv_heads", {{"num_key_value_heads", 7}}, invalid, "\"num_key_value_heads\" = 7 does not divide"},
        Wrong{"heads", {{"num_attention_heads", 24}}, invalid, "does not divide, and there is no"},
        Wrong{"odd_head", {{"head_dim", 63}}, invalid, "63"},
        Wrong{"epsilon", {{"rms_norm_eps", 0}}, invalid, "rms_norm_eps"},
        Wrong{"theta", {{"rope_theta", -1}}, invalid, "rope_theta"},
        Wrong{"tied", {{"tie_word_embeddings", "yes"}}, invalid, "true or false"},
        Wrong{"rope_text", {{"rope_scaling", "linear"}}, invalid, "not an object"},
        Wrong{"rope_theta_inside", {{"rope_parameters", {{"rope_theta", "x"}}}}, invalid, "in \"rope_parameters\""},
        Wrong{"rope_without_factor", {{"rope_scaling", {{"type", "linear"}}}}, invalid, "\"factor\" is missing"},
        Wrong{"rope_of_llama3",
              {{"rope_scaling", {{"rope_type", "llama3"}, {"factor", 32}, {"high_freq_factor", 4}}}},
              invalid,
              "in \"rope_scaling\": \"low_freq_factor\" is missing"},
        Wrong{"rope_of_llama3_upside_down",
              {{"rope_scaling",
                {{"rope_type", "llama3"}, {"factor", 32}, {"low_freq_factor", 4}, {"high_freq_factor", 4}}}},
              invalid,
              "must be below \"high_freq_factor\" = 4"},
        Wrong{"rope_of_yarn",
              {{"rope_theta", 1}, {"rope_scaling", {{"type", "yarn"}, {"factor", 4}}}},
              invalid,
              "above 1"},
        Wrong{"rope4", {{"rope_scaling", {{"rope_type", "longrope"}}}}, unsupported, "\"longrope\""},
        Wrong{"rope5",
              {{"rope_parameters", {{"rope_type", "mrope"}}}},
              unsupported,
              "this version has default, linear, dynamic, llama3 and yarn"},
        Wrong{"partial", {{"partial_rotary_factor", 0.5}}, unsupported, "partial_rotary_factor"},
        Wrong{
            "partial5", {{"rope_parameters", {{"partial_rotary_factor", 0.5}}}}, unsupported, "partial_rotary_factor"},
        Wrong{"bias", {{"attention_bias", 1}}, invalid, "attention_bias"},
        Wrong{"activation", {{"hidden_act", "gelu"}}, unsupported, "\"gelu\""},
        Wrong{"family",
              {{"model_type", "mamba"}},
              unsupported,
              "\"mamba\", this version has llama, mistral, qwen2, qwen3, gemma2, gemma3_text"},
        Wrong{"experts", {{"model_type", "mixtral"}, {"num_local_experts", 8}}, unsupported, "a mixture of experts"},
        Wrong{"more_than_text",
              {{"model_type", "gemma3"}, {"text_config", {{"hidden_size", 8}}}},
              unsupported,
              "more than a text model"},
        Wrong{"layer_types",
              {{"model_type", "qwen3"}, {"layer_types", {"full_attention"}}},
              invalid,
              "\"num_hidden_layers\" = 16 entries, it has 1"},
        Wrong{"layer_type",
              {{"model_type", "gemma2"}, {"num_hidden_layers", 1}, {"layer_types", {"chunked_attention"}}},
              unsupported,
              "\"chunked_attention\" as entry 0"},
        Wrong{"window_not_in_use",
              {{"model_type", "qwen2"}, {"num_hidden_layers", 1}, {"layer_types", {"sliding_attention"}}},
              invalid,
              "not in use"},
        Wrong{"window", {{"model_type", "mistral"}, {"sliding_window", 0}}, invalid, "\"sliding_window\" is 0"},
        Wrong{
            "both_ways", {{"model_type", "gemma3_text"}, {"use_bidirectional_attention", true}}, unsupported, "causal"},
        Wrong{"activation_of_gemma",
              {{"model_type", "gemma2"}, {"hidden_activation", "gelu"}},
              unsupported,
              "\"gelu_pytorch_tanh\" only"},
        Wrong{"quantized", {{"quantization_config", {{"bits", 4}}}}, unsupported, "quantization_config"}),
    [](const auto& test) { return std::string(test.param.name); });

TEST(ModelConfig, GarbageIsRefused) {
  for (const std::string& text :
       {std::string(), std::string("null"), std::string("[1]"), std::string("{\"model_type\":"),
        std::string("\xff\xfe\x00{", 4), std::string(100000, '['),
        "{\"hidden_size\":" + std::string(100000, '[') + std::string(100000, ']') + "}"}) {
    const Result<ModelConfig> config = parse_model_config(text, "config.json");
    ASSERT_FALSE(config);
    EXPECT_EQ(config.error().kind, FaultKind::model_config_invalid);
  }
}

TEST(ModelConfig, AMissingFileIsNotFound) {
  PosixFiles files;
  EXPECT_EQ(read_model_config(files, "/nonexistent").error().kind, FaultKind::file_not_found);
}

TEST(ModelConfig, ListsLinearModulesInTheOrderOfTheModel) {
  ModelConfig config = *parse(changed({{"num_hidden_layers", 2}}));
  const std::vector<LinearModule> modules = linear_modules(config);
  ASSERT_EQ(modules.size(), 14u);
  EXPECT_EQ(modules[1].name, "model.layers.0.self_attn.k_proj");
  EXPECT_EQ(modules[1].in, 2048);
  EXPECT_EQ(modules[1].out, 512);
  EXPECT_EQ(modules[13].name, "model.layers.1.mlp.down_proj");
  EXPECT_EQ(modules[13].in, 8192);
}

TEST(ModelConfig, CountsTheParametersOfLlama32With1B) { EXPECT_EQ(weight_count(*parse(plain())), 1235814400); }

}  // namespace
}  // namespace ftl
