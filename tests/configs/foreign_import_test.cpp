// Configurations in the manner of each tool and what becomes of them: imports/TOOL.yaml and imports/TOOL.ftlaunch.yaml.
#include "configs/foreign_import.h"

#include <algorithm>
#include <fstream>
#include <sstream>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "configs/config_tree.h"
#include "tests/configs/config_text.h"

namespace ftl {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

const std::string source = FTL_SOURCE_DIR;
const std::string imports = source + "/tests/configs/imports/";

std::optional<std::string> text_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream text;
  text << file.rdbuf();
  return file ? std::optional(text.str()) : std::nullopt;
}

// Paths in a configuration are against the working directory, which is the repository's for a user of these.
std::optional<std::string> from_repository(const std::string& path) { return text_of(source + "/" + path); }

ConfigImport imported(const std::string& text, std::optional<Tool> tool = std::nullopt) {
  Result<ConfigImport> got = import_config(text, "it.yaml", tool, from_repository);
  EXPECT_TRUE(got) << (got ? "" : describe(got.error()));
  return got ? std::move(*got) : ConfigImport{};
}

// Every name that stands in the original, with the entries of a list of mappings numbered.
void collect_names(const ConfigNode& node, const std::string& name, std::vector<std::string>& names) {
  const auto is_mapping = [](const ConfigNode& child) { return child.shape == ConfigNode::Shape::mapping; };
  if (is_mapping(node)) {
    for (std::size_t i = 0; i < node.keys.size(); ++i)
      collect_names(node.children[i], name.empty() ? node.keys[i] : name + "." + node.keys[i], names);
  } else if (!node.children.empty() && std::ranges::all_of(node.children, is_mapping)) {
    for (std::size_t i = 0; i < node.children.size(); ++i)
      collect_names(node.children[i], fmt::format("{}[{}]", name, i), names);
  } else {
    names.push_back(name);
  }
}

class ImportOf : public testing::TestWithParam<Tool> {
 protected:
  std::string stem() const { return imports + std::string(option_name_of(GetParam())); }
  std::string original() const { return text_of(stem() + ".yaml").value_or(""); }
};

TEST_P(ImportOf, IsKnownByItsKeysAndWrittenAsTheGolden) {
  const ConfigImport got = imported(original());
  EXPECT_EQ(got.tool, GetParam());
  EXPECT_THAT(got.missing, IsEmpty());
  EXPECT_EQ(got.yaml, text_of(stem() + ".ftlaunch.yaml").value_or("no golden"));
}

TEST_P(ImportOf, IsAcceptedByTheReader) {
  const Result<ReadConfig> read = read_config({stem() + ".ftlaunch.yaml", {}});
  ASSERT_TRUE(read) << describe(read.error());
  for (const std::string& note : read->notes) EXPECT_THAT(note, Not(HasSubstr("is read as")));
}

TEST_P(ImportOf, AccountsForEveryKeyOnce) {
  const Result<ConfigNode> tree = parse_yaml(original(), "it.yaml");
  ASSERT_TRUE(tree);
  std::vector<std::string> names, accounted;
  collect_names(*tree, "", names);
  for (const ImportedKey& key : imported(original()).account) {
    if (std::ranges::find(accounted, key.name) == accounted.end()) accounted.push_back(key.name);
    EXPECT_THAT(key.where, HasSubstr("it.yaml:"));
    if (key.outcome == ImportOutcome::left_out) {
      EXPECT_NE(key.why, "") << key.name;
    }
  }
  std::ranges::sort(names);
  std::ranges::sort(accounted);
  EXPECT_EQ(accounted, names);
}

INSTANTIATE_TEST_SUITE_P(Tools, ImportOf, testing::ValuesIn(tools_with_files),
                         [](const auto& tool) { return std::string(option_name_of(tool.param)); });

TEST(Import, NamesWhatIsMissing) {
  EXPECT_THAT(imported("lora_r: 8\nmicro_batch_size: 2\n").missing,
              ElementsAre(HasSubstr("the base model"), HasSubstr("the data")));
  EXPECT_THAT(imported("base_model: m\nsequence_len: 8\ndatasets: [{path: d.jsonl, type: chat_template}]\n").missing,
              ElementsAre(HasSubstr("chat_template is not in this version")));
  EXPECT_THAT(imported("model: {lora_rank: 8}\ncheckpointer: {checkpoint_dir: m}\ndataset: {_component_: "
                       "torchtune.datasets.alpaca_cleaned_dataset}\n")
                  .missing,
              ElementsAre(HasSubstr("no file is named")));
  EXPECT_THAT(imported("model_name_or_path: m\nstage: dpo\nfinetuning_type: lora\ndataset: x\n").missing,
              ElementsAre(HasSubstr("stage is 'dpo'")));
}

TEST(Import, ReadsTheListOfDataSetsBesideTheConfiguration) {
  const std::string begin = "model_name_or_path: m\nfinetuning_type: lora\ndataset_dir: tests/configs/imports/data\n";
  EXPECT_THAT(imported(begin + "dataset: talk\n").missing, ElementsAre(HasSubstr("'sharegpt'")));
  EXPECT_THAT(imported(begin + "dataset: elsewhere\n").missing, Contains(HasSubstr("names none")));
  const ConfigImport unlisted = imported(begin + "dataset: [stranger]\n");
  EXPECT_THAT(unlisted.missing, IsEmpty());
  EXPECT_THAT(unlisted.yaml, HasSubstr("path: \"tests/configs/imports/data/stranger.json\""));
}

TEST(Import, SaysWhatTheToolTakesWhereTheFileIsSilent) {
  const ConfigImport trl = imported("model_name_or_path: m\ndataset_name: d.jsonl\nuse_peft: true\n");
  EXPECT_EQ(trl.tool, Tool::trl);
  const RunConfig config = good(trl.yaml);
  EXPECT_EQ(config.learning_rate, 2e-5);
  EXPECT_EQ(config.lr_scheduler_type, "linear");
  EXPECT_EQ(config.global_batch_size, 8);
  EXPECT_EQ(config.lora_rank, 16);
  const RunConfig lf = good(imported("model_name_or_path: m\nfinetuning_type: lora\nlora_rank: 24\ndataset: d\n").yaml);
  EXPECT_EQ(lf.lora_alpha, 48);
  const RunConfig mlx = good(imported("model: m\ndata: d\niters: 9\nlora_parameters: {rank: 4}\n").yaml);
  EXPECT_EQ(mlx.lora_alpha, 80);
  EXPECT_TRUE(mlx.train_on_inputs);
}

TEST(Import, WhatExcludesEachOtherIsSettledAndSaid) {
  const ConfigImport got = imported(
      "base_model: m\nmicro_batch_size: 1\ndatasets: [{path: d.jsonl, type: alpaca}]\nwarmup_steps: 5\n"
      "warmup_ratio: 0.1\neval_steps: 20\n");
  EXPECT_THAT(got.missing, IsEmpty());
  const RunConfig config = good(got.yaml);
  EXPECT_EQ(config.warmup_steps, 5);
  EXPECT_EQ(config.warmup_ratio, 0);
  EXPECT_EQ(config.eval_steps, 0);
}

TEST(Import, ANameGivenTwiceIsTakenOnce) {
  const ConfigImport got =
      imported("base_model: m\nlora_r: 4\nr: 8\nmicro_batch_size: 1\ndatasets: [{path: d.jsonl, type: alpaca}]\n");
  EXPECT_EQ(good(got.yaml).lora_rank, 4);
  EXPECT_THAT(got.yaml, HasSubstr("lora_r has set lora_rank already"));
}

TEST(Import, WhoseItIsMustBeTold) {
  const Result<ConfigImport> nobodys = import_config("learning_rate: 1e-4\n", "it.yaml", std::nullopt, {});
  ASSERT_FALSE(nobodys);
  EXPECT_THAT(nobodys.error().fix, HasSubstr("--from"));
  EXPECT_TRUE(import_config("learning_rate: 1e-4\n", "it.yaml", Tool::trl, {}));
  EXPECT_FALSE(import_config("- a\n", "it.yaml", Tool::trl, {}));
  EXPECT_FALSE(import_config("a: [\n", "it.yaml", Tool::trl, {}));
}

TEST(Import, ForeignTextEndsNoComment) {
  const ConfigImport got = imported(
      "base_model: m\nmicro_batch_size: 1\ndatasets: [{path: d.jsonl, type: alpaca}]\n"
      "\"odd\\nkey\": \"a\\nseed: 1\"\nwandb_name: \"b\\r\\nseed: 2\"\n");
  EXPECT_THAT(got.missing, IsEmpty());
  EXPECT_EQ(good(got.yaml).seed, 42u);
}

}  // namespace
}  // namespace ftl
