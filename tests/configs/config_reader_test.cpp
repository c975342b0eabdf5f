#include "configs/config_reader.h"

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "configs/config_tree.h"
#include "configs/schema.h"
#include "tests/configs/config_text.h"

namespace ftl {
namespace {

class Directory {
 public:
  Directory() {
    std::string pattern = (std::filesystem::temp_directory_path() / "ftl-configs-XXXXXX").string();
    path_ = ::mkdtemp(pattern.data());
  }
  ~Directory() { std::filesystem::remove_all(path_); }
  std::string file(const std::string& text) const {
    const std::string path = path_ + "/run.yaml";
    std::ofstream(path, std::ios::binary) << text;
    return path;
  }

 private:
  std::string path_;
};

}  // namespace

Result<ReadConfig> read(const std::string& text, std::vector<std::string> overrides, std::vector<Failure>* all) {
  const Directory directory;
  return read_config({directory.file(text), std::move(overrides)}, all);
}

RunConfig good(const std::string& text, std::vector<std::string> overrides) {
  Result<ReadConfig> got = read(text, std::move(overrides));
  EXPECT_TRUE(got) << (got ? "" : describe(got.error()));
  return got ? got->config : RunConfig{};
}

namespace {

using testing::AllOf;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

struct BadCase {
  const char* name;
  std::string text;  // appended to the smallest configuration, unless it begins with '!': then alone, without it
  FaultKind kind;
  const char* place;  // what `where` ends with
  std::vector<const char*> words;
};
void PrintTo(const BadCase& bad, std::ostream* out) { *out << bad.name; }

class BadConfig : public testing::TestWithParam<BadCase> {};

TEST_P(BadConfig, IsRefusedWithKindPlaceAndWords) {
  const BadCase& bad = GetParam();
  const Result<ReadConfig> got = read(bad.text.starts_with('!') ? bad.text.substr(1) : smallest + bad.text);
  ASSERT_FALSE(got);
  EXPECT_EQ(info(got.error().kind).name, info(bad.kind).name) << describe(got.error());
  EXPECT_TRUE(got.error().where.ends_with(bad.place)) << got.error().where;
  for (const char* word : bad.words) EXPECT_THAT(got.error().what + got.error().fix, HasSubstr(word));
  EXPECT_LT(got.error().what.size(), 400u);
}

std::string repeated(const std::string& part, int times) {
  std::string all;
  for (int i = 0; i < times; ++i) all += part;
  return all;
}

std::string alias_bomb() {
  std::string text = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 12; ++i) {
    text += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [" +
            repeated("*a" + std::to_string(i - 1) + ", ", 9) + "x]\n";
  }
  return text;
}

const std::vector<BadCase>& bad_cases() {
  static const std::vector<BadCase> cases = {
      {"misspelt", "lora_rnak: 4\n", FaultKind::config_unknown_key, "run.yaml:3:1", {"'lora_rnak'", "lora_rank"}},
      {"misspelt_below", "parallel:\n  dpp: 2\n", FaultKind::config_unknown_key, "run.yaml:4:3", {"parallel.dp"}},
      {"unlike_anything", "xyzzyxyzzy: 4\n", FaultKind::config_unknown_key, ":3:1", {"remove"}},
      {"number_as_word", "lora_rank: many\n", FaultKind::config_invalid_value, "run.yaml:3:12", {"'many'", "integer"}},
      {"number_in_quotes", "lora_rank: '8'\n", FaultKind::config_invalid_value, ":3:12", {"quotes", "integer"}},
      {"hexadecimal", "lora_rank: 0x10\n", FaultKind::config_invalid_value, ":3:12", {"0x10"}},
      {"hexadecimal_real", "learning_rate: 0x10\n", FaultKind::config_invalid_value, ":3:16", {"0x10"}},
      {"fraction_for_integer", "lora_rank: 8.5\n", FaultKind::config_invalid_value, ":3:12", {"8.5"}},
      {"zero_rank", "lora_rank: 0\n", FaultKind::config_invalid_value, ":3:12", {"at least 1"}},
      {"not_a_number", "learning_rate: nan\n", FaultKind::config_invalid_value, ":3:16", {"finite"}},
      {"yaml_nan", "learning_rate: .nan\n", FaultKind::config_invalid_value, ":3:16", {"finite"}},
      {"infinite", "learning_rate: inf\n", FaultKind::config_invalid_value, ":3:16", {"finite"}},
      {"overflow", "learning_rate: 1e999\n", FaultKind::config_invalid_value, ":3:16", {"64 bits"}},
      {"integer_overflow",
       "max_steps: 99999999999999999999\n",
       FaultKind::config_invalid_value,
       ":3:12",
       {"9223372036854775807"}},
      {"negative_seed", "seed: -1\n", FaultKind::config_invalid_value, ":3:7", {"integer"}},
      {"negative_rate", "learning_rate: -1e-4\n", FaultKind::config_invalid_value, ":3:16", {"at least 0"}},
      {"yes_for_true", "use_rslora: yes\n", FaultKind::config_invalid_value, ":3:13", {"'yes'", "true or false"}},
      {"list_for_text", "output_dir: [a]\n", FaultKind::config_invalid_value, ":3:13", {"a list", "text"}},
      {"text_for_mapping", "watchdog: on\n", FaultKind::config_invalid_value, ":3:11", {"mapping"}},
      {"unknown_choice", "device: tpu\n", FaultKind::config_invalid_value, ":3:9", {"'tpu'", "auto or cpu or cuda"}},
      {"dataset_is_text",
       "!model_name_or_path: m\ndatasets: d.jsonl\n",
       FaultKind::config_invalid_value,
       ":2:11",
       {"list"}},
      {"dataset_key",
       "!model_name_or_path: m\ndatasets:\n  - path: d\n    typ: alpaca\n",
       FaultKind::config_unknown_key,
       ":4:5",
       {"type"}},
      {"dataset_without_path",
       "!model_name_or_path: m\ndatasets: [{type: alpaca}]\n",
       FaultKind::config_missing_key,
       "",
       {"datasets[0].path"}},
      {"no_model", "!datasets: [{path: d}]\n", FaultKind::config_missing_key, "run.yaml", {"model_name_or_path"}},
      {"empty", "!", FaultKind::config_missing_key, "run.yaml", {"model_name_or_path"}},
      {"list_at_top", "!- a\n- b\n", FaultKind::config_invalid_value, ":1:1", {"a list", "mapping"}},
      {"twice", "seed: 1\nseed: 2\n", FaultKind::config_syntax, "run.yaml:4:1", {"twice", ":3:1"}},
      {"twice_by_alias", "lora_r: 4\nlora_rank: 8\n", FaultKind::config_invalid_value, ":4:1", {"lora_r", "lora_rank"}},
      {"both_warmups", "warmup_steps: 3\nwarmup_ratio: 0.1\n", FaultKind::config_invalid_value, ":3:15", {"3", "0.1"}},
      {"batch_beyond_64_bits",
       "micro_batch_size: 16777216\ngradient_accumulation_steps: 16777216\nnodes: 1024\nranks_per_node: 1024\n",
       FaultKind::config_invalid_value,
       "",
       {"16777216 x 16777216 x 1048576", "at most 16777216"}},
      {"fraction_of_examples", "val_set_size: 1.5\n", FaultKind::config_invalid_value, ":3:15", {"1.5"}},
      {"tab", "parallel:\n\tdp: 1\n", FaultKind::config_syntax, "", {}},
      {"open_list", "lora_target: [a, b\n", FaultKind::config_syntax, "", {}},
      {"binary",
       std::string("!\x7f"
                   "ELF\x01\x00",
                   7),
       FaultKind::config_syntax,
       "run.yaml:1:1",
       {"0x7f"}},
      {"latin_1", "output_dir: caf\xe9/x\n", FaultKind::config_syntax, ":3:16", {"0xe9", "UTF-8"}},
      {"overlong", "output_dir: \xc0\x80\n", FaultKind::config_syntax, ":3:13", {"0xc0", "UTF-8"}},
      {"surrogate", "output_dir: \xed\xa0\x80\n", FaultKind::config_syntax, ":3:13", {"0xed", "UTF-8"}},
      {"cut_character", "output_dir: \xf0\x9f\x98", FaultKind::config_syntax, ":3:13", {"0xf0", "UTF-8"}},
      {"merge_key", "x: &x {dp: 1}\nparallel: {<<: *x}\n", FaultKind::config_syntax, ":4:12", {"merge"}},
      {"tag", "seed: !!int 3\n", FaultKind::config_syntax, ":3:7", {"tags"}},
      {"two_documents", "---\nseed: 3\n", FaultKind::config_syntax, "run.yaml", {"document"}},
      {"deep_lists", "seed: " + repeated("[", 50000) + "\n", FaultKind::config_syntax, "", {"64"}},
      {"deep_dashes", "seed:\n  " + repeated("- ", 5000) + "\n", FaultKind::config_syntax, "", {"64"}},
      {"deep_keys", "seed: " + repeated("{a: ", 50000) + "\n", FaultKind::config_syntax, "", {"64"}},
      {"alias_bomb", alias_bomb(), FaultKind::config_syntax, "", {"100000"}},
      {"alias_in_itself", "seed: &a [*a]\n", FaultKind::config_syntax, "", {}},
      {"too_large", "# " + std::string(1 << 20, 'x') + "\n", FaultKind::config_syntax, "run.yaml", {"1048576"}},
      {"dropout", "lora_dropout: 0.1\n", FaultKind::not_in_this_version, ":3:15", {"lora_dropout"}},
      {"packing", "packing: true\n", FaultKind::not_in_this_version, ":3:10", {"packing"}},
      {"checkpointing",
       "gradient_checkpointing: true\n",
       FaultKind::not_in_this_version,
       ":3:25",
       {"gradient_checkpointing"}},
      {"tensor_parallel", "parallel: {tp: 2}\n", FaultKind::not_in_this_version, ":3:16", {"parallel.tp"}},
      {"zero", "parallel: {zero: 1}\n", FaultKind::not_in_this_version, ":3:18", {"parallel.zero"}},
      {"bfloat16", "dtype: bfloat16\n", FaultKind::not_in_this_version, ":3:8", {"bfloat16", "float32"}},
      {"other_optimizer", "optim: lion\n", FaultKind::not_in_this_version, ":3:8", {"lion", "adamw"}},
      {"chat_template",
       "!model_name_or_path: m\ndatasets: [{path: d, type: chat_template}]\n",
       FaultKind::not_in_this_version,
       ":2:28",
       {"chat_template"}},
      {"other_tools_key", "load_in_4bit: true\n", FaultKind::not_in_this_version, ":3:1", {"load_in_4bit"}},
  };
  return cases;
}

INSTANTIATE_TEST_SUITE_P(Table, BadConfig, testing::ValuesIn(bad_cases()),
                         [](const auto& bad) { return std::string(bad.param.name); });

TEST(ConfigReader, ReadsTheFirstRunsConfiguration) {
  const Result<ReadConfig> got = read_config({std::string(FTL_SOURCE_DIR) + "/configs/lora-tiny.yaml", {}});
  ASSERT_TRUE(got) << describe(got.error());
  EXPECT_THAT(got->notes, IsEmpty());
  EXPECT_EQ(got->config.datasets.at(0).type, DatasetType::alpaca);
  EXPECT_EQ(got->config.datasets.at(0).prompt_style, "short");
  EXPECT_EQ(got->config.global_batch_size, 8);
}

TEST(ConfigReader, ReportsAllErrorsTogether) {
  std::vector<Failure> all;
  EXPECT_FALSE(read(smallest + "lora_rank: 0\nseed: x\nfoo_bar_baz: 1\n", {"lora_alpha=-1"}, &all));
  EXPECT_EQ(all.size(), 4u);
}

TEST(ConfigReader, ReadsTheNamesOfOtherToolsAndSaysSo) {
  const Result<ReadConfig> got = read(
      "base_model: m\ndatasets: [{path: d}]\nlora_r: 4\nsequence_len: 64\nmicro_batch_size: 2\noptimizer: "
      "adamw_torch\nlora_target_linear: true\n");
  ASSERT_TRUE(got) << describe(got.error());
  EXPECT_EQ(got->config.lora_rank, 4);
  EXPECT_EQ(got->config.cutoff_len, 64);
  EXPECT_EQ(got->config.optim, "adamw");
  EXPECT_THAT(got->notes, Contains("lora_r is read as lora_rank"));
}

TEST(ConfigReader, DerivesTheGlobalBatchFromAccumulation) {
  const RunConfig derived =
      good(smallest + "micro_batch_size: 2\ngradient_accumulation_steps: 3\nnodes: 2\nranks_per_node: 2\n");
  EXPECT_EQ(derived.global_batch_size, 24);
  EXPECT_EQ(good(smallest + "gradient_accumulation_steps: 3\nglobal_batch_size: 5\n").global_batch_size, 5);
}

TEST(ConfigReader, OverridesGoTheSameTypedPath) {
  EXPECT_EQ(good(smallest, {"lora_rank=4", "lora_rank=6"}).lora_rank, 6);
  EXPECT_EQ(good(smallest, {"parallel.dp=4"}).parallel.dp, 4);
  EXPECT_THAT(good(smallest, {"lora_target=[q_proj, v_proj]"}).lora_target, ElementsAre("q_proj", "v_proj"));
  EXPECT_EQ(good(smallest, {"datasets.0.max_samples=10"}).datasets.at(0).max_samples, 10);
  const Result<ReadConfig> bad = read(smallest, {"watchdog.enabled=maybe"});
  ASSERT_FALSE(bad);
  EXPECT_EQ(bad.error().where, "--set watchdog.enabled");
  EXPECT_THAT(bad.error().what, HasSubstr("true or false"));
  const Result<ReadConfig> unfinished = read(smallest, {"seed"});
  ASSERT_FALSE(unfinished);
  EXPECT_EQ(unfinished.error().kind, FaultKind::usage_error);
}

TEST(ConfigReader, ReadsWordsAndNumbersAsPeopleWriteThem) {
  const RunConfig got = good(smallest +
                             "learning_rate: 1e-4\nparallel: {dp: auto}\nranks_per_node: auto\ndtype: "
                             "auto\ntokenizer_name_or_path: null\nseed: 18446744073709551615\n");
  EXPECT_EQ(got.learning_rate, 1e-4);
  EXPECT_EQ(got.parallel.dp, 0);
  EXPECT_EQ(got.dtype, "float32");
  EXPECT_EQ(got.seed, 18446744073709551615u);
}

TEST(ConfigReader, ExpandsSmallAliases) {
  const RunConfig got = good("model_name_or_path: &m models/x\ntokenizer_name_or_path: *m\ndatasets: [{path: d}]\n");
  EXPECT_EQ(got.tokenizer_name_or_path, "models/x");
}

TEST(ConfigReader, NamesAMissingFile) {
  for (const char* path : {"/nowhere/run.yaml", "/tmp"}) {
    const Result<ReadConfig> got = read_config({path, {}});
    ASSERT_FALSE(got);
    EXPECT_EQ(got.error().kind, FaultKind::file_not_found);
    EXPECT_EQ(got.error().where, path);
  }
}

// Another valid value than the default, whatever the key's type.
void change(Place place) {
  struct Change {
    void operator()(bool* v) const { *v = !*v; }
    void operator()(int* v) const { *v += 1; }
    void operator()(std::int64_t* v) const { *v += 1; }
    void operator()(std::uint64_t* v) const { *v += 1; }
    void operator()(double* v) const { *v += 0.25; }
    void operator()(std::string* v) const { *v += "x"; }
    void operator()(std::vector<std::string>* v) const { v->push_back("x"); }
    void operator()(DatasetType* v) const { *v = DatasetType::input_output; }
    void operator()(std::vector<DatasetConfig>* v) const { v->push_back({}); }
  };
  std::visit(Change{}, place);
}

TEST(ConfigIdentity, ChangesExactlyForIdentityKeys) {
  const RunConfig was;
  for (const Key& key : config_keys()) {
    RunConfig is;
    change(key.place(&is));
    const bool is_identity = key.behaviour == KeyClass::identity;
    EXPECT_EQ(identity_of(was) != identity_of(is), is_identity) << key.name;
    EXPECT_EQ(identity_differences(was, is).size(), is_identity ? 1u : 0u) << key.name;
    EXPECT_EQ(differences(was, is).size(), 1u) << key.name;
    EXPECT_EQ(key_class(std::string(key.name)), key.behaviour) << key.name;
  }
  for (const Key& key : dataset_keys()) {
    RunConfig before, after;
    before.datasets.emplace_back();
    after.datasets.emplace_back();
    change(key.place(&after.datasets[0]));
    EXPECT_NE(identity_of(before), identity_of(after)) << key.name;
  }
}

TEST(ConfigIdentity, NamesTheOldAndTheNewValue) {
  RunConfig was, is;
  is.learning_rate = 0.001;
  EXPECT_THAT(differences(was, is), ElementsAre("learning_rate: 0.0002 -> 0.001"));
}

TEST(ConfigJson, BringsEveryKeyBack) {
  RunConfig config = good(smallest +
                          "val_set_size: 0.1\nlearning_rate: 0.3\nlora_target: [q_proj]\nhardware: {gpu: "
                          "h100-80g}\noutput_dir: \"a b: #c\"\n");
  const Result<RunConfig> again = config_from_json(to_json(config));
  ASSERT_TRUE(again) << describe(again.error());
  EXPECT_EQ(*again, config);
  for (const Key& key : config_keys()) {
    if (key.only_default || !key.choices.empty()) continue;
    RunConfig changed = config;
    change(key.place(&changed));
    const Result<RunConfig> back = config_from_json(to_json(changed));
    if (!back)
      EXPECT_EQ(back.error().kind, FaultKind::config_invalid_value) << key.name;  // the change left the key's range
    else
      EXPECT_EQ(*back, changed) << key.name;
  }
}

TEST(ConfigJson, RefusesGarbage) {
  for (const std::string& text : {std::string("{"), std::string("[]"), std::string("{\"seed\": -1}"),
                                  repeated("[", 100000), repeated("{\"a\":", 100000)}) {
    EXPECT_FALSE(config_from_json(text));
  }
}

TEST(ConfigYaml, ReadsBackWhateverItsTextsHold) {
  const RunConfig config =
      good("model_name_or_path: \"\\x7f \\t\\u00e9\\U0001f600\"\ndatasets: [{path: caf\xc3\xa9}]\n");
  EXPECT_EQ(to_json(good(to_yaml(config))), to_json(config));
}

TEST(ConfigYaml, ReadsBackAsTheSameConfiguration) {
  const RunConfig config = good(smallest + "output_dir: \"tricky: # [name]\"\nlora_rank: 4\n");
  const std::string text = to_yaml(config);
  EXPECT_THAT(text, HasSubstr("lora_rank: 4\n"));
  EXPECT_THAT(text, HasSubstr("lora_alpha: 16.0  # default"));
  EXPECT_EQ(good(text), config);
}

TEST(ConfigReference, IsTheSchemaAndNothingElse) {
  std::ifstream file(std::string(FTL_SOURCE_DIR) + "/docs/config.md");
  std::stringstream text;
  text << file.rdbuf();
  EXPECT_EQ(text.str(), config_reference()) << "run config_reference > docs/config.md";
}

}  // namespace
}  // namespace ftl
