// A tokenizer.json is a stranger's file: whatever is wrong with it ends in tokenizer_invalid that names the place.
#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "tests/tokenizer/memory_files.h"
#include "trainer/tokenizer/tokenizer.h"

namespace ftl {
namespace {

using nlohmann::json;

json good() {
  return json::parse(R"({
    "added_tokens": [{"id": 4, "content": "<s>", "special": true, "normalized": false}],
    "normalizer": null, "pre_tokenizer": null, "post_processor": null, "decoder": null,
    "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2, "abb": 3}, "merges": ["a b", "ab b"]}
  })");
}

Failure failure_of(const std::string& text, std::map<std::string, std::string> beside = {}) {
  beside["t/tokenizer.json"] = text;
  MemoryFiles files(std::move(beside));
  const Result<Tokenizer> tokenizer = Tokenizer::load(files, "t");
  return tokenizer ? Failure{FaultKind::internal_error, "it was accepted", "", ""} : tokenizer.error();
}

struct Case {
  const char* name;
  const char* pointer;  // what is replaced ...
  const char* value;    // ... by this JSON
  const char* where;    // part of the failure's place
  const char* what;     // part of its sentence
};

class HostileTokenizer : public testing::TestWithParam<Case> {};

TEST_P(HostileTokenizer, IsRefusedWithItsPlace) {
  json tokenizer = good();
  tokenizer[json::json_pointer(GetParam().pointer)] = json::parse(GetParam().value);
  const Failure failure = failure_of(tokenizer.dump());
  EXPECT_EQ(failure.kind, FaultKind::tokenizer_invalid) << describe(failure);
  EXPECT_THAT(failure.where, testing::HasSubstr(GetParam().where));
  EXPECT_THAT(failure.where, testing::StartsWith("t/tokenizer.json"));
  EXPECT_THAT(failure.what, testing::HasSubstr(GetParam().what));
}

INSTANTIATE_TEST_SUITE_P(
    Table, HostileTokenizer,
    testing::Values(
        Case{"NoObject", "", "[]", "$", "expected a JSON object"},
        Case{"ModelOfAnotherKind", "/model/type", "\"WordPiece\"", "$.model",
             "model type WordPiece is not supported in this version"},
        Case{"ModelIsAList", "/model", "[1]", "$.model", "expected an object"},
        Case{"VocabularyIsAList", "/model/vocab", "[1]", "$.model.vocab", "expected an object of token -> id"},
        Case{"VocabularyIsEmpty", "/model/vocab", "{}", "$.model.vocab", "empty"},
        Case{"IdIsAString", "/model/vocab/a", "\"0\"", "$.model.vocab[\"a\"]", "expected a token id"},
        Case{"IdIsNegative", "/model/vocab/a", "-1", "$.model.vocab[\"a\"]", "outside 0..9999999"},
        Case{"IdIsTenMillion", "/model/vocab/a", "10000000", "$.model.vocab[\"a\"]", "outside 0..9999999"},
        Case{"IdIsHuge", "/model/vocab/a", "18446744073709551615", "$.model.vocab[\"a\"]", "outside"},
        Case{"IdIsFractional", "/model/vocab/a", "0.5", "$.model.vocab[\"a\"]", "expected a token id"},
        Case{"IdIsGivenTwice", "/model/vocab/b", "0", "$.model.vocab[\"b\"]", "is given to \"b\" and to \"a\""},
        Case{"IdOutOfProportion", "/model/vocab/a", "65552", "$.model.vocab",
             "the largest id is 65552, but there are only 4 tokens"},
        Case{"VocabularyOfObjects", "/model/vocab/a", R"({"id": [0]})", "$.model.vocab[\"a\"]", "found object"},
        Case{"MergesAreMissing", "/model/merges", "null", "$.model.merges", "expected a list of merges"},
        Case{"MergeOfOne", "/model/merges/1", "\"ab\"", "$.model.merges[1]", "one space between"},
        Case{"MergeOfThree", "/model/merges/1", "\"a b b\"", "$.model.merges[1]", "one space between"},
        Case{"MergeIsANumber", "/model/merges/0", "7", "$.model.merges[0]", "a merge is"},
        Case{"MergeListOfThree", "/model/merges/0", "[\"a\", \"b\", \"b\"]", "$.model.merges[0]", "a merge is"},
        Case{"MergeWithAScore", "/model/merges/1", "[\"ab\", 1]", "$.model.merges[1]", "a merge is"},
        Case{"MergeOfObjects", "/model/merges/1", R"([{"a": "b"}, ["c"]])", "$.model.merges[1]", "a merge is"},
        Case{"MergeNamesAnAbsentToken", "/model/merges/0", "\"a x\"", "$.model.merges[0]",
             "\"x\", which is not in the vocabulary"},
        Case{"MergeMakesAnAbsentToken", "/model/merges/0", "\"b a\"", "$.model.merges[0]",
             "\"ba\", which is not in the vocabulary"},
        Case{"Dropout", "/model/dropout", "0.1", "$.model", "dropout is not supported"},
        Case{"UnknownTokenIsAbsent", "/model/unk_token", "\"<unk>\"", "$.model",
             "unk_token \"<unk>\" is not in the vocabulary"},
        Case{"FlagIsAString", "/model/ignore_merges", "\"yes\"", "$.model.ignore_merges", "expected true or false"},
        Case{"AddedTokensAreAnObject", "/added_tokens", "{}", "$.added_tokens", "expected a list"},
        Case{"AddedTokenIsANumber", "/added_tokens/0", "3", "$.added_tokens[0]", "expected an object"},
        Case{"AddedTokenWithoutContent", "/added_tokens/0/content", "null", "$.added_tokens[0].content",
             "expected a string"},
        Case{"AddedTokenIdTaken", "/added_tokens/0/id", "2", "$.added_tokens[0]",
             "id 2 is given to \"<s>\" and to \"ab\""},
        Case{"AddedTokenWithAnotherId", "/added_tokens/0/content", "\"ab\"", "$.added_tokens[0]",
             "has id 4 here and id 2 before"},
        Case{"AddedTokenIdOutOfProportion", "/added_tokens/0/id", "65556", "$.added_tokens",
             "the largest id is 65556, but there are only 5 tokens"},
        Case{"AddedTokenIdOutOfRange", "/added_tokens/0/id", "99999999999", "$.added_tokens[0].id", "outside"},
        Case{"NormalizerUnknown", "/normalizer", R"({"type": "Rot13"})", "$.normalizer",
             "normalizer type Rot13 is not supported in this version"},
        Case{"NormalizerInASequence", "/normalizer",
             R"({"type": "Sequence", "normalizers": [{"type": "NFC"}, {"type": "Rot13"}]})",
             "$.normalizer.normalizers[1]", "normalizer type Rot13 is not supported in this version"},
        Case{"NormalizerWithoutType", "/normalizer", "{}", "$.normalizer", "\"type\" is missing"},
        Case{"PreTokenizerUnknown", "/pre_tokenizer", R"({"type": "UnicodeScripts"})", "$.pre_tokenizer",
             "pre_tokenizer type UnicodeScripts is not supported in this version"},
        Case{"ExpressionIsBroken", "/pre_tokenizer",
             R"({"type": "Split", "pattern": {"Regex": "(a"}, "behavior": "Isolated"})", "$.pre_tokenizer.pattern",
             "the expression cannot be compiled"},
        Case{"PatternIsEmpty", "/pre_tokenizer",
             R"({"type": "Split", "pattern": {"String": ""}, "behavior": "Isolated"})", "$.pre_tokenizer.pattern",
             "the pattern is empty"},
        Case{"PatternIsMissing", "/pre_tokenizer", R"({"type": "Split", "behavior": "Isolated"})", "$.pre_tokenizer",
             "\"pattern\" is missing"},
        Case{"BehaviorUnknown", "/pre_tokenizer",
             R"({"type": "Split", "pattern": {"String": "a"}, "behavior": "Sideways"})", "$.pre_tokenizer",
             "behavior \"Sideways\" is not known"},
        Case{"RulesAreNoRules", "/normalizer", R"({"type": "Precompiled", "precompiled_charsmap": "AAAA"})",
             "$.normalizer.precompiled_charsmap", "no compiled normalization rules"},
        Case{"RulesThatWriteNoUtf8", "/normalizer",
             R"({"type": "Precompiled", "precompiled_charsmap": "BAAAAAAAAAD/"})", "$.normalizer.precompiled_charsmap",
             "no compiled normalization rules"},
        Case{"DecoderUnknown", "/decoder", R"({"type": "CTC"})", "$.decoder",
             "decoder type CTC is not supported in this version"},
        Case{"StripByALot", "/decoder", R"({"type": "Strip", "content": "", "start": 1, "stop": 0})", "$.decoder",
             "Strip needs a character"},
        Case{"PostProcessorUnknown", "/post_processor", R"({"type": "Magic"})", "$.post_processor",
             "post_processor type Magic is not supported in this version"},
        Case{
            "TemplateNamesAnAbsentId", "/post_processor",
            R"({"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "x"}}, {"Sequence": {"id": "A"}}], "special_tokens": {"x": {"ids": [77]}}})",
            "$.post_processor.special_tokens.x.ids[0]", "token id 77 is not in the vocabulary"},
        Case{
            "TemplateNamesAnAbsentToken", "/post_processor",
            R"({"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "x"}}, {"Sequence": {"id": "A"}}], "special_tokens": {}})",
            "$.post_processor.special_tokens", "\"x\" is missing"},
        Case{"TemplateWithoutText", "/post_processor",
             R"({"type": "TemplateProcessing", "single": [], "special_tokens": {}})", "$.post_processor",
             "does not name the text"}),
    [](const auto& suite_case) { return std::string(suite_case.param.name); });

TEST(HostileTokenizer, UnchangedCaseIsAccepted) { EXPECT_EQ(failure_of(good().dump()).what, "it was accepted"); }

// Ids may have holes, and added tokens may stand behind one.
TEST(HostileTokenizer, IdsWithHolesAreAcceptedInProportion) {
  json tokenizer = good();
  tokenizer["model"]["vocab"]["a"] = 65551;
  tokenizer["added_tokens"][0]["id"] = 65555;
  MemoryFiles files({{"t/tokenizer.json", tokenizer.dump()}});
  const Result<Tokenizer> loaded = Tokenizer::load(files, "t");
  ASSERT_TRUE(loaded.has_value()) << describe(loaded.error());
  EXPECT_EQ(loaded->vocabulary_size(), 65556);
  EXPECT_EQ(loaded->encode("a<s>b"), (std::vector<std::int32_t>{65551, 65555, 1}));
  EXPECT_EQ(loaded->decode(std::vector<std::int32_t>{65551, 65554, 0, 65555}), "a <s>")
      << "no decoder: a space between";
}

// Lists are read as they come; what is written twice counts as its last writing, a token under two ids is refused.
TEST(HostileTokenizer, RepeatedNamesCountAsTheLast) {
  const std::string vocabulary = R"({"a": 0, "b": 1, "ab": 2, "abb": 3})";
  const auto with = [](const std::string& members) {
    return failure_of(R"({"added_tokens": [], "model": {"type": "BPE", )" + members + "}}");
  };
  EXPECT_EQ(with(R"("vocab": {"x": "y"}, "merges": ["c d"], "vocab": )" + vocabulary + R"(, "merges": ["a b"])").what,
            "it was accepted");
  EXPECT_THAT(with(R"("merges": ["a b"], "vocab": )" + vocabulary + R"(, "vocab": 3)").what,
              testing::HasSubstr("expected an object of token -> id"));
  EXPECT_THAT(with(R"("merges": [], "vocab": {"a": 0, "a": 1})").what,
              testing::HasSubstr("has id 1 here and id 0 before"));
  const Failure last = failure_of(R"({"model": {"merges": ["a b"], "vocab": )" + vocabulary +
                                  R"(}, "model": {"type": "BPE", "merges": []}})");
  EXPECT_THAT(last.what, testing::HasSubstr("\"vocab\" is missing"));
}

TEST(HostileTokenizer, GarbageIsRefused) {
  const std::string text = good().dump();
  for (std::size_t length = 0; length < text.size(); length += 7) {
    EXPECT_EQ(failure_of(text.substr(0, length)).kind, FaultKind::tokenizer_invalid) << length;
  }
  EXPECT_EQ(failure_of(std::string("\0\xFF\xFE{}", 5)).kind, FaultKind::tokenizer_invalid);
}

TEST(HostileTokenizer, EveryFlippedByteIsAcceptedOrRefusedButNeverWorse) {
  const std::string text = good().dump();
  for (std::size_t at = 0; at < text.size(); ++at) {
    for (const int flip : {1, 4, 32, 128}) {
      std::string bad = text;
      bad[at] = static_cast<char>(bad[at] ^ flip);
      const Failure failure = failure_of(bad);
      EXPECT_TRUE(failure.kind == FaultKind::tokenizer_invalid || failure.what == "it was accepted") << bad;
    }
  }
}

TEST(HostileTokenizer, DeepNestingIsRefusedBeforeItIsBuilt) {
  EXPECT_THAT(failure_of(std::string(1'000'000, '[')).what, testing::HasSubstr("nests deeper than 64"));
  EXPECT_THAT(failure_of(R"({"model":)" + std::string(100, '[') + std::string(100, ']') + "}").what,
              testing::HasSubstr("nests deeper"));
}

TEST(HostileTokenizer, MissingFilesAreNamed) {
  MemoryFiles files;
  EXPECT_EQ(Tokenizer::load(files, "nowhere").error().kind, FaultKind::file_not_found);
  EXPECT_EQ(Tokenizer::load(files, "nowhere/tokenizer.json").error().kind, FaultKind::file_not_found);
  files["old/tokenizer.model"] = "x";
  EXPECT_THAT(Tokenizer::load(files, "old").error().what, testing::HasSubstr("neither a SentencePiece model"));
}

TEST(HostileTokenizer, NeighboursAreJudgedToo) {
  const auto with = [](const char* name, const char* text) {
    return failure_of(good().dump(), {{std::string("t/") + name, text}});
  };
  EXPECT_THAT(with("tokenizer_config.json", R"({"eos_token": "</s>"})").what,
              testing::HasSubstr("\"</s>\" is not a token of the tokenizer"));
  EXPECT_THAT(with("tokenizer_config.json", R"({"eos_token": 3})").where,
              testing::HasSubstr("tokenizer_config.json: $.eos_token"));
  EXPECT_THAT(with("tokenizer_config.json", "[]").what, testing::HasSubstr("expected a JSON object"));
  EXPECT_THAT(with("generation_config.json", R"({"eos_token_id": 5})").what,
              testing::HasSubstr("token id 5 is not below the tokenizer's 5"));
  EXPECT_THAT(with("generation_config.json", R"({"eos_token_id": [0, "1"]})").where,
              testing::HasSubstr("$.eos_token_id[1]"));
}

}  // namespace
}  // namespace ftl
