#include "trainer/data/examples.h"

#include <gmock/gmock.h>

#include <nlohmann/json.hpp>
#include <set>

#include "tests/tokenizer/memory_files.h"

namespace ftl {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using Ids = std::vector<std::int32_t>;

// One id a byte of printable ASCII and line feed, id = the byte; <s> 1, </s> 2.
std::string characters(bool with_bos) {
  nlohmann::json t = nlohmann::json::parse(R"({"normalizer": null, "pre_tokenizer": null, "decoder": {"type": "Fuse"},
      "added_tokens": [{"id": 1, "content": "<s>", "special": true}, {"id": 2, "content": "</s>", "special": true}],
      "model": {"type": "BPE", "vocab": {"\n": 10, "~ab~": 300}, "merges": []}})");
  for (int c = 32; c < 127; ++c) t["model"]["vocab"][std::string(1, static_cast<char>(c))] = c;
  if (with_bos) {
    t["post_processor"] = nlohmann::json::parse(R"({"type": "TemplateProcessing",
        "single": [{"SpecialToken": {"id": "<s>"}}, {"Sequence": {"id": "A"}}], "special_tokens": {"<s>": {"ids": [1]}}})");
  }
  return t.dump();
}

Tokenizer make_tokenizer(bool with_bos = true, bool with_eos = true) {
  MemoryFiles files({{"t/tokenizer.json", characters(with_bos)}});
  if (with_eos) files["t/tokenizer_config.json"] = R"({"eos_token": "</s>"})";
  Result<Tokenizer> tokenizer = Tokenizer::load(files, "t");
  if (!tokenizer) throw std::runtime_error(describe(tokenizer.error()));
  return std::move(*tokenizer);
}

RunConfig config_of(DatasetType type) {
  RunConfig config;
  config.datasets.resize(1);
  config.datasets[0].path = "d.jsonl";
  config.datasets[0].type = type;
  config.datasets[0].prompt_style = "short";
  return config;
}

Result<ExampleSet> load(const RunConfig& config, const std::string& lines, const Tokenizer& tokenizer,
                        int threads = 1) {
  MemoryFiles files({{"d.jsonl", lines}});
  return load_examples(files, config, tokenizer, threads);
}

// The tokens as text, with [[ ]] around what is supervised.
std::string marked(const Example& example, const Tokenizer& tokenizer) {
  std::string out;
  bool on = false;
  for (std::size_t i = 0; i < example.ids.size(); ++i) {
    if (on != (example.supervised[i] != 0)) out += on ? "]]" : "[[";
    on = example.supervised[i] != 0;
    out += tokenizer.decode(Ids{example.ids[i]});
  }
  return on ? out + "]]" : out;
}

struct MaskCase {
  const char* name;
  DatasetType type;
  const char* line;
  const char* expected;
  bool train_on_inputs = false, bos = true, eos = true, stanford = false;
};

class Mask : public testing::TestWithParam<MaskCase> {};

TEST_P(Mask, SupervisesExactly) {
  const MaskCase& c = GetParam();
  const Tokenizer tokenizer = make_tokenizer(c.bos, c.eos);
  RunConfig config = config_of(c.type);
  config.train_on_inputs = c.train_on_inputs;
  if (c.stanford) config.datasets[0].prompt_style = "stanford";
  const Result<ExampleSet> set = load(config, c.line, tokenizer);
  ASSERT_TRUE(set.has_value()) << describe(set.error());
  ASSERT_EQ(set->train.size(), 1u);
  EXPECT_EQ(marked(set->train[0], tokenizer), c.expected);
}

INSTANTIATE_TEST_SUITE_P(
    Table, Mask,
    testing::Values(
        MaskCase{"Completion", DatasetType::completion, R"({"text": "abc"})", "<s>[[abc</s>]]"},
        MaskCase{"CompletionWithoutBos", DatasetType::completion, R"({"text": "abc"})", "a[[bc</s>]]", false, false},
        MaskCase{"CompletionWithoutEos", DatasetType::completion, R"({"text": "abc"})", "<s>[[abc]]", false, true,
                 false},
        MaskCase{"BosIsNeverTwice", DatasetType::completion, R"({"text": "<s>abc"})", "<s>[[abc</s>]]"},
        MaskCase{"EosIsNeverTwice", DatasetType::completion, R"({"text": "abc</s>"})", "<s>[[abc</s>]]"},
        MaskCase{"Alpaca", DatasetType::alpaca, R"({"instruction": "I", "output": "O"})",
                 "<s>### Instruction:\nI\n\n### Response:\n[[O</s>]]"},
        MaskCase{"AlpacaWithInput", DatasetType::alpaca, R"({"instruction": "I", "input": "X", "output": "O"})",
                 "<s>### Instruction:\nI\n\n### Input:\nX\n\n### Response:\n[[O</s>]]"},
        MaskCase{"AlpacaWithNullInput", DatasetType::alpaca, R"({"instruction": "I", "input": null, "output": "O"})",
                 "<s>### Instruction:\nI\n\n### Response:\n[[O</s>]]"},
        MaskCase{"AlpacaOnInputs", DatasetType::alpaca, R"({"instruction": "I", "output": "O"})",
                 "<s>[[### Instruction:\nI\n\n### Response:\nO</s>]]", true},
        MaskCase{"AlpacaStanford", DatasetType::alpaca, R"({"instruction": "I", "output": "O"})",
                 "<s>Below is an instruction that describes a task. Write a response that appropriately completes the "
                 "request.\n\n"
                 "### Instruction:\nI\n\n### Response:\n[[O</s>]]",
                 false, true, true, true},
        MaskCase{
            "AlpacaStanfordWithInput", DatasetType::alpaca, R"({"instruction": "I", "input": "X", "output": "O"})",
            "<s>Below is an instruction that describes a task, paired with an input that provides further context. "
            "Write a response that appropriately completes the request.\n\n"
            "### Instruction:\nI\n\n### Input:\nX\n\n### Response:\n[[O</s>]]",
            false, true, true, true},
        MaskCase{"InputOutput", DatasetType::input_output, R"({"input": "Q", "output": "A"})", "<s>Q[[A</s>]]"},
        MaskCase{"OutputAlone", DatasetType::input_output, R"({"output": "AB"})", "<s>[[AB</s>]]"},
        MaskCase{
            "Segments", DatasetType::input_output,
            R"({"segments": [{"text": "Q", "label": false}, {"text": "A</s>", "label": true}, {"text": "R", "label": false}, {"text": "B", "label": true}]})",
            "<s>Q[[A</s>]]R[[B]]"},
        MaskCase{"FirstTokenIsNeverATarget", DatasetType::input_output,
                 R"({"segments": [{"text": "AB", "label": true}]})", "A[[B]]", false, false}),
    [](const auto& suite_case) { return std::string(suite_case.param.name); });

struct BadLine {
  const char* name;
  DatasetType type;
  const char* lines;
  const char* where;
  const char* what;
};

class UnreadableLine : public testing::TestWithParam<BadLine> {};

TEST_P(UnreadableLine, IsNamedWithFileLineAndField) {
  const Result<ExampleSet> set = load(config_of(GetParam().type), GetParam().lines, make_tokenizer());
  ASSERT_FALSE(set.has_value());
  EXPECT_EQ(set.error().kind, FaultKind::dataset_unreadable);
  EXPECT_EQ(set.error().where, GetParam().where);
  EXPECT_THAT(set.error().what, HasSubstr(GetParam().what));
}

INSTANTIATE_TEST_SUITE_P(
    Table, UnreadableLine,
    testing::Values(
        BadLine{"NoJson", DatasetType::completion, "{\"text\": \"a\"}\n\nnot json\n", "d.jsonl:3", "not valid JSON"},
        BadLine{"NoObject", DatasetType::completion, "[1]", "d.jsonl:1", "the line is array, must be a JSON object"},
        BadLine{"MissingText", DatasetType::completion, R"({"body": "a", "id": 3})", "d.jsonl:1",
                "field \"text\" is missing; the line has: body, id"},
        BadLine{"TextIsANumber", DatasetType::completion, R"({"text": 3})", "d.jsonl:1",
                "field \"text\" is number, must be a string"},
        BadLine{"MissingOutput", DatasetType::alpaca, R"({"instruction": "a"})", "d.jsonl:1",
                "field \"output\" is missing"},
        BadLine{"MissingInstruction", DatasetType::alpaca, R"({"output": "a"})", "d.jsonl:1",
                "field \"instruction\" is missing"},
        BadLine{"InputIsAList", DatasetType::alpaca, R"({"instruction": "a", "input": [], "output": "b"})", "d.jsonl:1",
                "field \"input\" is array"},
        BadLine{"SegmentsAreText", DatasetType::input_output, R"({"segments": "a"})", "d.jsonl:1",
                "field \"segments\" is string, must be a list"},
        BadLine{"SegmentIsText", DatasetType::input_output, R"({"segments": ["a"]})", "d.jsonl:1",
                "segments[0]: string"},
        BadLine{"SegmentWithoutText", DatasetType::input_output, R"({"segments": [{"label": true}]})", "d.jsonl:1",
                "segments[0]: field \"text\" is missing"},
        BadLine{"SegmentWithoutLabel", DatasetType::input_output, R"({"segments": [{"text": "a", "label": 1}]})",
                "d.jsonl:1", "segments[0]: field \"label\" must be true or false"},
        BadLine{"InvalidUtf8", DatasetType::completion, "{\"text\": \"\xFF\"}", "d.jsonl:1", "not valid JSON"},
        BadLine{"SeveralAreCounted", DatasetType::completion, "{}\n{}\n{}\n", "d.jsonl:1",
                "(and 2 more lines are bad)"}),
    [](const auto& suite_case) { return std::string(suite_case.param.name); });

TEST(Lines, TooLongOrTooDeepAreRefused) {
  const Tokenizer tokenizer = make_tokenizer();
  const RunConfig config = config_of(DatasetType::completion);
  EXPECT_THAT(load(config, "{\"text\": \"" + std::string(17u << 20, 'a') + "\"}", tokenizer).error().what,
              HasSubstr("at most 16777216 are read"));
  EXPECT_THAT(load(config, std::string(1u << 20, '['), tokenizer).error().what, HasSubstr("nests deeper than 64"));
}

TEST(Lines, ByteOrderMarkCarriageReturnsAndBlankLinesAreTolerated) {
  const Result<ExampleSet> set =
      load(config_of(DatasetType::completion), "\xEF\xBB\xBF{\"text\": \"ab\"}\r\n\r\n   \n{\"text\": \"cd\"}",
           make_tokenizer());
  ASSERT_TRUE(set.has_value()) << describe(set.error());
  EXPECT_EQ(set->train.size(), 2u);
}

TEST(Examples, AreDroppedWithAReasonOrCut) {
  const Tokenizer tokenizer = make_tokenizer();
  RunConfig config = config_of(DatasetType::input_output);
  config.cutoff_len = 6;
  const Result<ExampleSet> set = load(config, R"({"input": "Q", "output": "AAA"}
{"input": "Q", "output": "AAAA"}
{"input": "Q", "output": ""}
{"segments": [{"text": "abc", "label": false}]}
{"segments": []}
)",
                                      tokenizer);
  ASSERT_TRUE(set.has_value()) << describe(set.error());
  EXPECT_EQ(set->train.size(), 1u);
  EXPECT_THAT(set->dropped, ElementsAre(std::pair("empty", 2), std::pair("longer than cutoff_len", 1),
                                        std::pair("nothing supervised", 1)));

  RunConfig completion = config_of(DatasetType::completion);
  completion.cutoff_len = 3;
  const Result<ExampleSet> cut = load(completion, R"({"text": "abcdef"})", tokenizer);
  ASSERT_TRUE(cut.has_value());
  EXPECT_EQ(marked(cut->train[0], tokenizer), "<s>[[ab]]");
  EXPECT_THAT(cut->dropped, ElementsAre(std::pair("truncated", 1)));
}

TEST(Examples, ThatAreAllMaskedOrAllGoneAreFailures) {
  const Tokenizer tokenizer = make_tokenizer();
  RunConfig config = config_of(DatasetType::input_output);
  const Failure masked = load(config, R"({"segments": [{"text": "abc", "label": false}]})", tokenizer).error();
  EXPECT_EQ(masked.kind, FaultKind::all_labels_masked);
  EXPECT_THAT(masked.what, HasSubstr("all 1 examples"));
  EXPECT_THAT(masked.fix, HasSubstr("train_on_inputs"));
  EXPECT_EQ(load(config, "\n\n", tokenizer).error().kind, FaultKind::dataset_empty);
  config.cutoff_len = 4;
  const Failure longer = load(config, R"({"output": "abcdef"})", tokenizer).error();
  EXPECT_EQ(longer.kind, FaultKind::dataset_empty);
  EXPECT_THAT(longer.what, HasSubstr("1 longer than cutoff_len"));
  EXPECT_EQ(longer.fix, "raise cutoff_len");
  config.datasets[0].path = "elsewhere.jsonl";
  EXPECT_EQ(load(config, "", tokenizer).error().kind, FaultKind::file_not_found);
}

std::string numbered(int count) {
  std::string lines;
  for (int i = 0; i < count; ++i) lines += R"({"text": "example )" + std::to_string(i) + "\"}\n";
  return lines;
}

TEST(Examples, DoNotDependOnTheNumberOfThreads) {
  const Tokenizer tokenizer = make_tokenizer();
  RunConfig config = config_of(DatasetType::completion);
  config.val_set_size = 0.2;
  const Result<ExampleSet> one = load(config, numbered(300), tokenizer, 1);
  ASSERT_TRUE(one.has_value());
  for (const int threads : {0, 2, 3, 8}) {
    const Result<ExampleSet> many = load(config, numbered(300), tokenizer, threads);
    ASSERT_TRUE(many.has_value());
    ASSERT_EQ(many->train.size(), one->train.size());
    for (std::size_t i = 0; i < one->train.size(); ++i) EXPECT_EQ(many->train[i].ids, one->train[i].ids);
    EXPECT_EQ(many->content_hash, one->content_hash);
  }
}

TEST(Validation, IsChosenBySeedAndNeverOverlapsTraining) {
  const Tokenizer tokenizer = make_tokenizer();
  RunConfig config = config_of(DatasetType::completion);
  std::set<std::vector<Ids>> choices;
  for (const std::uint64_t seed : {1u, 2u, 3u}) {
    config.seed = seed;
    config.val_set_size = 0.1;
    const Result<ExampleSet> set = load(config, numbered(50), tokenizer);
    ASSERT_TRUE(set.has_value());
    EXPECT_EQ(set->validation.size(), 5u);
    std::set<Ids> all;
    std::vector<Ids> validation;
    for (const Example& example : set->train) all.insert(example.ids);
    for (const Example& example : set->validation) {
      all.insert(example.ids);
      validation.push_back(example.ids);
    }
    EXPECT_EQ(all.size(), 50u);
    choices.insert(validation);
  }
  EXPECT_EQ(choices.size(), 3u);
}

TEST(Validation, LeavesAtLeastOneExampleToTrain) {
  const Tokenizer tokenizer = make_tokenizer();
  RunConfig config = config_of(DatasetType::completion);
  struct Split {
    double size;
    int examples;
    std::size_t validation;
  };
  for (const Split& split :
       {Split{0.01, 10, 1}, Split{0.99, 10, 9}, Split{0.5, 1, 0}, Split{3, 10, 3}, Split{0, 10, 0}}) {
    config.val_set_size = split.size;
    const Result<ExampleSet> set = load(config, numbered(split.examples), tokenizer);
    ASSERT_TRUE(set.has_value()) << split.size;
    EXPECT_EQ(set->validation.size(), split.validation) << split.size;
  }
  config.val_set_size = 10;
  const Result<ExampleSet> none = load(config, numbered(10), tokenizer);
  ASSERT_FALSE(none.has_value());
  EXPECT_EQ(none.error().kind, FaultKind::dataset_empty);
  EXPECT_THAT(none.error().what, HasSubstr("val_set_size 10 leaves none of 10 examples"));
}

TEST(Datasets, AreReadOneAfterAnotherUpToTheirLimits) {
  const Tokenizer tokenizer = make_tokenizer();
  RunConfig config = config_of(DatasetType::completion);
  config.datasets.push_back(config.datasets[0]);
  config.datasets[0].max_samples = 2;
  const Result<ExampleSet> set = load(config, numbered(5), tokenizer);
  ASSERT_TRUE(set.has_value());
  EXPECT_EQ(set->train.size(), 7u);
}

TEST(ContentHash, ChangesWithWhateverShapesExamples) {
  const Tokenizer with_bos = make_tokenizer(true), without_bos = make_tokenizer(false);
  const RunConfig config = config_of(DatasetType::completion);
  RunConfig shorter = config, inputs = config, moved = config;
  shorter.cutoff_len = 100;
  inputs.train_on_inputs = true;
  std::set<std::string> hashes = {
      load(config, numbered(3), with_bos)->content_hash, load(config, numbered(4), with_bos)->content_hash,
      load(config, numbered(3), without_bos)->content_hash, load(shorter, numbered(3), with_bos)->content_hash,
      load(inputs, numbered(3), with_bos)->content_hash};
  EXPECT_EQ(hashes.size(), 5u);
  moved.datasets[0].path = "elsewhere.jsonl";
  MemoryFiles files({{"elsewhere.jsonl", numbered(3)}});
  EXPECT_TRUE(hashes.contains(load_examples(files, moved, with_bos, 1)->content_hash));
}

TEST(LabelAudit, ShowsWhatIsSupervised) {
  const Tokenizer tokenizer = make_tokenizer();
  RunConfig config = config_of(DatasetType::input_output);
  config.cutoff_len = 8;
  const Result<ExampleSet> set =
      load(config, "{\"input\": \"Q\\n\", \"output\": \"AB\"}\n{\"output\": \"too long by far\"}\n", tokenizer);
  ASSERT_TRUE(set.has_value());
  const std::string audit = label_audit(*set, tokenizer, 3);
  EXPECT_THAT(audit, HasSubstr("training examples: 1\n"));
  EXPECT_THAT(audit, HasSubstr("dropped: 1 (longer than cutoff_len)\n"));
  EXPECT_THAT(audit, HasSubstr("supervised: 3 tokens (50.0 %)\n"));
  EXPECT_THAT(audit, HasSubstr("taught to stop: 1 of 1 examples (100.0 %)\n"));
  EXPECT_THAT(audit, HasSubstr("example 1: <s>Q\\n[[AB</s>]]\n"));
}

}  // namespace
}  // namespace ftl
