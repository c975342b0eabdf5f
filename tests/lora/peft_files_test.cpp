#include "lora/peft_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include <nlohmann/json.hpp>

namespace ftl {
namespace {

using nlohmann::json;
using testing::HasSubstr;

const std::vector<LinearModule>& modules_of_golden_model() {  // tests/golden/data/gqa_untied
  static const std::vector<LinearModule> modules = [] {
    std::vector<LinearModule> list;
    for (const char* layer : {"model.layers.0.", "model.layers.1."}) {
      const std::string at = layer;
      for (const auto& [name, in, out] : std::vector<std::tuple<const char*, int, int>>{{"self_attn.q_proj", 32, 32},
                                                                                        {"self_attn.k_proj", 32, 16},
                                                                                        {"self_attn.v_proj", 32, 16},
                                                                                        {"self_attn.o_proj", 32, 32},
                                                                                        {"mlp.gate_proj", 32, 72},
                                                                                        {"mlp.up_proj", 32, 72},
                                                                                        {"mlp.down_proj", 72, 32}}) {
        list.push_back({at + name, in, out});
      }
    }
    return list;
  }();
  return modules;
}

std::string golden(const std::string& name) {
  return std::string(FTL_SOURCE_DIR) + "/tests/golden/data/gqa_untied/" + name;
}

std::string contents(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

class PeftFiles : public testing::Test {
 protected:
  PeftFiles() {
    std::string pattern = (std::filesystem::temp_directory_path() / "ftl-peft-XXXXXX").string();
    directory = mkdtemp(pattern.data());
  }
  ~PeftFiles() override { std::filesystem::remove_all(directory); }

  // A copy of PEFT's own adapter whose config is changed.
  std::string with_config(const json& changes) {
    const std::string copy = directory + "/changed";
    std::filesystem::copy(golden("adapter"), copy,
                          std::filesystem::copy_options::recursive | std::filesystem::copy_options::overwrite_existing);
    json config = json::parse(contents(copy + "/adapter_config.json"));
    config.update(changes);
    std::ofstream(copy + "/adapter_config.json") << config.dump();
    return copy;
  }
  Result<Adapter> read(const std::string& path) {
    return read_peft_adapter(files, *device, path, modules_of_golden_model());
  }

  PosixFiles files;
  std::unique_ptr<Device> device = std::move(*make_cpu_device());
  std::string directory;
};

TEST_F(PeftFiles, ReadsWhatPeftWroteAndWritesTheSameTensors) {
  for (const char* name : {"adapter", "adapter_qv"}) {
    Result<Adapter> adapter = read(golden(name));
    ASSERT_TRUE(adapter) << describe(adapter.error());
    ASSERT_TRUE(write_peft_adapter(files, directory, *adapter, "golden"));
    EXPECT_EQ(contents(directory + "/adapter_model.safetensors"),
              contents(golden(name) + std::string("/adapter_model.safetensors")))
        << name;
    Result<Adapter> again = read(directory);
    ASSERT_TRUE(again) << describe(again.error());
    EXPECT_EQ(*adapter->copy(), *again->copy());
    EXPECT_EQ(again->shape().options.rank, adapter->shape().options.rank);
    EXPECT_EQ(again->shape().scaling(), adapter->shape().scaling());
  }
}

TEST_F(PeftFiles, TheConfigHasOnlyKeysThatPeftWroteItself) {
  const json theirs = json::parse(contents(golden("adapter/adapter_config.json")));
  const AdapterShape shape = *select_modules({.rank = 4, .alpha = 8, .target = {"all"}}, modules_of_golden_model());
  const json ours = json::parse(adapter_config_json(shape, "golden/gqa_untied"));
  for (const auto& [key, value] : ours.items()) {
    ASSERT_TRUE(theirs.contains(key)) << key;
    EXPECT_EQ(value, theirs[key]) << key;
  }
  for (const char* needed :
       {"peft_type", "target_modules", "r", "lora_alpha", "task_type", "base_model_name_or_path", "use_rslora"}) {
    EXPECT_TRUE(ours.contains(needed)) << needed;
  }
}

TEST_F(PeftFiles, TheConfigIsSortedIndentedAndTheSameEveryTime) {
  const AdapterShape shape =
      *select_modules({.rank = 2, .alpha = 2.5, .target = {"v_proj", "q_proj"}}, modules_of_golden_model());
  const std::string text = adapter_config_json(shape, "base");
  EXPECT_EQ(text, adapter_config_json(shape, "base"));
  EXPECT_EQ(text, json::parse(text).dump(2));
  EXPECT_THAT(text, HasSubstr("\"lora_alpha\": 2.5"));
  EXPECT_EQ(json::parse(text)["target_modules"], json({"q_proj", "v_proj"}));
}

TEST_F(PeftFiles, AMissingDirectoryIsAFileNotFound) {
  const Result<Adapter> adapter = read(directory + "/none");
  ASSERT_FALSE(adapter);
  EXPECT_EQ(adapter.error().kind, FaultKind::file_not_found);
}

TEST_F(PeftFiles, AnotherModelsAdapterNamesBothShapes) {
  std::vector<LinearModule> wider = modules_of_golden_model();
  for (LinearModule& module : wider) module.in += 2;
  const Result<Adapter> adapter = read_peft_adapter(files, *device, golden("adapter"), wider);
  ASSERT_FALSE(adapter);
  EXPECT_EQ(adapter.error().kind, FaultKind::adapter_mismatch);
  EXPECT_THAT(adapter.error().what, testing::AllOf(HasSubstr("[4, 32]"), HasSubstr("[4, 34]")));
}

struct Change {
  const char* name;
  json change;
  const char* says;
};
class UnfitConfigs : public PeftFiles, public testing::WithParamInterface<Change> {};
TEST_P(UnfitConfigs, AreRefused) {
  const Result<Adapter> adapter = read(with_config(GetParam().change));
  ASSERT_FALSE(adapter);
  EXPECT_EQ(adapter.error().kind, FaultKind::adapter_mismatch);
  EXPECT_THAT(adapter.error().what, HasSubstr(GetParam().says));
}
INSTANTIATE_TEST_SUITE_P(
    PeftFiles, UnfitConfigs,
    testing::Values(Change{"dora", {{"use_dora", true}}, "use_dora"}, Change{"bias", {{"bias", "all"}}, "bias"},
                    Change{"rank_pattern", {{"rank_pattern", {{"q_proj", 9}}}}, "rank_pattern"},
                    Change{"saved_modules", {{"modules_to_save", {"lm_head"}}}, "modules_to_save"},
                    Change{"other_type", {{"peft_type", "IA3"}}, "peft_type"},
                    Change{"other_rank", {{"r", 5}}, "[5, 32]"}, Change{"huge_rank", {{"r", 1e18}}, "\"r\" is"},
                    Change{"fractional_rank", {{"r", 4.5}}, "whole number"},
                    Change{"rank_as_text", {{"r", "4"}}, "must be a number"},
                    Change{"fewer_targets", {{"target_modules", {"q_proj"}}}, "belongs to no module"},
                    Change{"unknown_target", {{"target_modules", {"c_attn"}}}, "c_attn"},
                    Change{"targets_of_numbers", {{"target_modules", {1, 2}}}, "list of names"}),
    [](const auto& test) { return std::string(test.param.name); });

TEST_F(PeftFiles, GarbageIsRefused) {
  for (const char* text : {"", "[]", "{", "nonsense", "{\"peft_type\": 3}"}) {
    std::ofstream(directory + "/adapter_config.json") << text;
    const Result<Adapter> adapter = read(directory);
    ASSERT_FALSE(adapter) << text;
    EXPECT_EQ(adapter.error().kind, FaultKind::adapter_mismatch) << text;
  }
}

}  // namespace
}  // namespace ftl
