#include "trainer/tokenizer/tokenizer.h"

#include <gmock/gmock.h>

#include <nlohmann/json.hpp>
#include <thread>

#include "tests/tokenizer/memory_files.h"

namespace ftl {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using Ids = std::vector<std::int32_t>;

// Single characters a..z are 0..25, space is 26; then what the case adds.
json alphabet() {
  json tokenizer =
      json::parse(R"({"added_tokens": [], "normalizer": null, "pre_tokenizer": null, "post_processor": null,
                                   "decoder": {"type": "Fuse"}, "model": {"type": "BPE", "vocab": {}, "merges": []}})");
  for (int i = 0; i < 26; ++i) tokenizer["model"]["vocab"][std::string(1, static_cast<char>('a' + i))] = i;
  tokenizer["model"]["vocab"][" "] = 26;
  return tokenizer;
}

void add_token(json& tokenizer, int id, const std::string& content, json flags = json::object()) {
  flags["id"] = id;
  flags["content"] = content;
  tokenizer["added_tokens"].push_back(flags);
}

Tokenizer make(const json& tokenizer, std::map<std::string, std::string> beside = {}) {
  beside["t/tokenizer.json"] = tokenizer.dump();
  MemoryFiles files(std::move(beside));
  Result<Tokenizer> loaded = Tokenizer::load(files, "t");
  if (!loaded) throw std::runtime_error(describe(loaded.error()));
  return std::move(*loaded);
}

TEST(Bpe, MergesByRankAndFromTheLeft) {
  json t = alphabet();
  t["model"]["vocab"].update({{"aa", 30}, {"ab", 31}, {"aab", 32}, {"bc", 33}});
  t["model"]["merges"] = {"b c", json::array({"a", "a"}), "a b", "aa b"};
  const Tokenizer tokenizer = make(t);
  EXPECT_THAT(tokenizer.encode("aaa"), ElementsAre(30, 0));
  EXPECT_THAT(tokenizer.encode("aab"), ElementsAre(32));
  EXPECT_THAT(tokenizer.encode("abc"), ElementsAre(0, 33));
  EXPECT_THAT(tokenizer.encode(""), ElementsAre());
}

TEST(Bpe, GivesLongWordsTheSameMergesAsShortOnes) {
  json t = alphabet();
  t["model"]["vocab"].update({{"ab", 30}, {"abab", 31}, {"ba", 32}});
  t["model"]["merges"] = {"a b", "ab ab", "b a"};
  const Tokenizer tokenizer = make(t);
  std::string word;
  for (int pairs = 1; pairs <= 200; ++pairs) {  // crosses the border between scanning and heap
    word += "ab";
    Ids expected(static_cast<std::size_t>(pairs / 2), 31);
    if (pairs % 2) expected.push_back(30);
    ASSERT_EQ(tokenizer.encode(word), expected) << pairs;
  }
}

TEST(Bpe, TakesAWholePieceFromTheVocabularyOnlyWhenMergesAreIgnored) {
  json t = alphabet();
  t["model"]["vocab"]["xyz"] = 30;
  EXPECT_THAT(make(t).encode("xyz"), ElementsAre(23, 24, 25));
  t["model"]["ignore_merges"] = true;
  EXPECT_THAT(make(t).encode("xyz"), ElementsAre(30));
}

TEST(Bpe, UnknownCharactersFallBackToBytesThenToTheUnknownToken) {
  json t = alphabet();
  t["model"]["vocab"].update({{"<unk>", 30}, {"<0xC3>", 31}, {"<0xA9>", 32}});
  t["model"]["unk_token"] = "<unk>";
  EXPECT_THAT(make(t).encode("a\xC3\xA9\xC3\xA9z"), ElementsAre(0, 30, 30, 25));
  t["model"]["fuse_unk"] = true;
  EXPECT_THAT(make(t).encode("a\xC3\xA9\xC3\xA9z"), ElementsAre(0, 30, 25));
  t["model"]["byte_fallback"] = true;
  EXPECT_THAT(make(t).encode("a\xC3\xA9z!"), ElementsAre(0, 31, 32, 25, 30));
}

TEST(AddedTokens, TheLongestOfTheLeftmostIsFound) {
  json t = alphabet();
  add_token(t, 40, "<a>");
  add_token(t, 41, "<a>b");
  EXPECT_THAT(make(t).encode("x<a>bc<a>c"), ElementsAre(23, 41, 2, 40, 2));
}

TEST(AddedTokens, TakeWhiteSpaceBesideThemWhenAsked) {
  json t = alphabet();
  add_token(t, 40, "<l>", {{"lstrip", true}});
  add_token(t, 41, "<r>", {{"rstrip", true}});
  const Tokenizer tokenizer = make(t);
  EXPECT_THAT(tokenizer.encode("a  <l> b"), ElementsAre(0, 40, 26, 1));
  EXPECT_THAT(tokenizer.encode("a <r>  b"), ElementsAre(0, 26, 41, 1));
  EXPECT_THAT(tokenizer.encode("<r> \xC2\xA0 <l>"), ElementsAre(41, 40));
}

TEST(AddedTokens, StandAloneWhenTheyMust) {
  json t = alphabet();
  add_token(t, 40, "ing", {{"single_word", true}});
  const Tokenizer tokenizer = make(t);
  EXPECT_THAT(tokenizer.encode("a ing"), ElementsAre(0, 26, 40));
  EXPECT_THAT(tokenizer.encode("aing"), ElementsAre(0, 8, 13, 6));
}

TEST(AddedTokens, AreLookedForInNormalizedTextOnlyWhenTheySaySo) {
  json t = alphabet();
  t["normalizer"] = {{"type", "Lowercase"}};
  add_token(t, 40, "RAW", {{"normalized", false}});
  add_token(t, 41, "Soft", {{"normalized", true}});
  const Tokenizer tokenizer = make(t);
  EXPECT_THAT(tokenizer.encode("RAWsoFT"), ElementsAre(40, 41));
  EXPECT_THAT(tokenizer.encode("rawSOFT"), ElementsAre(17, 0, 22, 41));
}

struct SplitCase {
  const char* name;
  const char* pre_tokenizer;
  const char* text;
  std::vector<std::string> pieces;
};

class Split : public testing::TestWithParam<SplitCase> {};

// Every piece that should come out is one token of a model that takes whole pieces only, so the ids are the pieces.
TEST_P(Split, MakesThePieces) {
  json t = alphabet();
  Ids expected;
  int next = 100;
  for (const std::string& piece : GetParam().pieces) {
    if (!t["model"]["vocab"].contains(piece)) t["model"]["vocab"][piece] = next++;
    expected.push_back(t["model"]["vocab"][piece].get<std::int32_t>());
  }
  t["model"]["ignore_merges"] = true;
  t["pre_tokenizer"] = json::parse(GetParam().pre_tokenizer);
  EXPECT_EQ(make(t).encode(GetParam().text), expected);
}

INSTANTIATE_TEST_SUITE_P(
    Table, Split,
    testing::Values(
        SplitCase{"Isolated",
                  R"({"type": "Split", "pattern": {"String": "-"}, "behavior": "Isolated"})",
                  "ab--cd",
                  {"ab", "-", "-", "cd"}},
        SplitCase{"Removed",
                  R"({"type": "Split", "pattern": {"String": "-"}, "behavior": "Removed"})",
                  "ab--cd-",
                  {"ab", "cd"}},
        SplitCase{"Contiguous",
                  R"({"type": "Split", "pattern": {"String": "-"}, "behavior": "Contiguous"})",
                  "ab--cd",
                  {"ab", "--", "cd"}},
        SplitCase{"Previous",
                  R"({"type": "Split", "pattern": {"String": "-"}, "behavior": "MergedWithPrevious"})",
                  "-ab--cd",
                  {"-", "ab-", "-", "cd"}},
        SplitCase{"Next",
                  R"({"type": "Split", "pattern": {"String": "-"}, "behavior": "MergedWithNext"})",
                  "ab--cd-",
                  {"ab", "-", "-cd", "-"}},
        SplitCase{"Inverted",
                  R"({"type": "Split", "pattern": {"Regex": "[a-z]+"}, "behavior": "Removed", "invert": true})",
                  "ab--cd",
                  {"ab", "cd"}},
        SplitCase{"DigitsTogether", R"({"type": "Digits", "individual_digits": false})", "ab123c", {"ab", "123", "c"}},
        SplitCase{"DigitsAlone", R"({"type": "Digits", "individual_digits": true})", "ab12c", {"ab", "1", "2", "c"}},
        SplitCase{"WhitespaceSplit", R"({"type": "WhitespaceSplit"})", " ab  cd!", {"ab", "cd!"}},
        SplitCase{"Whitespace", R"({"type": "Whitespace"})", " ab cd!?", {"ab", "cd", "!?"}},
        SplitCase{"Punctuation", R"({"type": "Punctuation"})", "ab!?c", {"ab", "!", "?", "c"}},
        SplitCase{"ByteLevel",
                  R"({"type": "ByteLevel", "add_prefix_space": false})",
                  "he's \xC3\xA9",
                  {"he", "'s", "\xC4\xA0\xC3\x83\xC2\xA9"}},
        SplitCase{"ByteLevelWithPrefix",
                  R"({"type": "ByteLevel", "add_prefix_space": true, "use_regex": false})",
                  "ab c",
                  {"\xC4\xA0"
                   "ab\xC4\xA0"
                   "c"}},
        SplitCase{"Metaspace",
                  R"({"type": "Metaspace", "replacement": "_", "prepend_scheme": "always"})",
                  "ab cd",
                  {"_ab", "_cd"}},
        SplitCase{
            "Sequence",
            R"({"type": "Sequence", "pretokenizers": [{"type": "WhitespaceSplit"}, {"type": "Digits", "individual_digits": true}]})",
            "ab1 2",
            {"ab", "1", "2"}}),
    [](const auto& suite_case) { return std::string(suite_case.param.name); });

TEST(Normalizers, AreAppliedInOrder) {
  json t = alphabet();
  t["model"]["vocab"]["\xC3\xA9"] = 30;
  t["model"]["vocab"]["_"] = 31;
  t["normalizer"] = json::parse(R"({"type": "Sequence", "normalizers": [{"type": "NFC"}, {"type": "Lowercase"},
      {"type": "Prepend", "prepend": "_"}, {"type": "Replace", "pattern": {"String": " "}, "content": "_"}]})");
  EXPECT_THAT(make(t).encode("E\xCC\x81 B"), ElementsAre(31, 30, 31, 1));
  t["normalizer"] = json::parse(
      R"({"type": "Sequence", "normalizers": [{"type": "NFKD"}, {"type": "StripAccents"}, {"type": "Strip"}]})");
  EXPECT_THAT(make(t).encode(" \xC3\xA9\xEF\xAC\x81 "), ElementsAre(4, 5, 8));  // e-acute, fi ligature
}

TEST(Tokenizer, ReplacesInvalidUtf8) {
  json t = alphabet();
  t["model"]["vocab"]["\xEF\xBF\xBD"] = 30;
  const Tokenizer tokenizer = make(t);
  EXPECT_THAT(tokenizer.encode("a\xFF"
                               "b"),
              ElementsAre(0, 30, 1));
  EXPECT_THAT(tokenizer.encode("\xE2\x82"
                               "b"),
              ElementsAre(30, 1));                                         // a truncated character is one part
  EXPECT_THAT(tokenizer.encode("\xED\xA0\x80"), ElementsAre(30, 30, 30));  // a surrogate is three
  EXPECT_THAT(tokenizer.encode("\xC0\xAF"), ElementsAre(30, 30));          // an overlong form is two
}

TEST(Tokenizer, DecodesBytesOfHalvedCharactersAsReplacement) {
  json t = alphabet();
  t["decoder"] = {{"type", "ByteLevel"}};
  t["model"]["vocab"].update({{"\xC3\x83", 30}, {"\xC2\xA9", 31}});  // bytes C3 and A9 in the byte alphabet
  add_token(t, 40, "<s>", {{"special", true}});
  const Tokenizer tokenizer = make(t);
  EXPECT_EQ(tokenizer.decode(Ids{40, 30, 31, 0}),
            "<s>\xC3\xA9"
            "a");
  EXPECT_EQ(tokenizer.decode(Ids{40, 30, 0}, true),
            "\xEF\xBF\xBD"
            "a");
  EXPECT_EQ(tokenizer.decode(Ids{0, 999, -1, 1}), "ab");  // ids of no token stand for nothing
}

TEST(Tokenizer, DecodesByteFallback) {
  json t = alphabet();
  t["decoder"] =
      json::parse(R"({"type": "Sequence", "decoders": [{"type": "Replace", "pattern": {"String": "_"}, "content": " "},
      {"type": "ByteFallback"}, {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}]})");
  t["model"]["vocab"].update({{"_a", 30}, {"<0xC3>", 31}, {"<0xA9>", 32}});
  const Tokenizer tokenizer = make(t);
  EXPECT_EQ(tokenizer.decode(Ids{30, 31, 32, 30}), "a\xC3\xA9 a");
  EXPECT_EQ(tokenizer.decode(Ids{32, 31, 30}), "\xEF\xBF\xBD\xEF\xBF\xBD a");
}

TEST(Tokenizer, SurroundsTextAsTheTemplateSays) {
  json t = alphabet();
  add_token(t, 40, "<s>", {{"special", true}});
  add_token(t, 41, "</s>", {{"special", true}});
  t["post_processor"] =
      json::parse(R"({"type": "Sequence", "processors": [{"type": "ByteLevel"}, {"type": "TemplateProcessing",
      "single": [{"SpecialToken": {"id": "<s>"}}, {"Sequence": {"id": "A"}}, {"SpecialToken": {"id": "</s>"}}],
      "special_tokens": {"<s>": {"ids": [40]}, "</s>": {"ids": [41]}}}]})");
  const Tokenizer tokenizer = make(t);
  EXPECT_THAT(tokenizer.encode_with_special("ab"), ElementsAre(40, 0, 1, 41));
  EXPECT_THAT(tokenizer.encode("ab"), ElementsAre(0, 1));
  EXPECT_THAT(tokenizer.special_prefix(), ElementsAre(40));
  EXPECT_THAT(tokenizer.special_suffix(), ElementsAre(41));
  EXPECT_EQ(tokenizer.bos(), 40);
  EXPECT_EQ(tokenizer.vocabulary_size(), 42);
}

TEST(Tokenizer, StopsWhereGenerationConfigSays) {
  json t = alphabet();
  add_token(t, 40, "</s>", {{"special", true}});
  const auto with = [&](const char* generation, const char* config) {
    return make(t, {{"t/generation_config.json", generation}, {"t/tokenizer_config.json", config}});
  };
  EXPECT_THAT(with(R"({"eos_token_id": [40, 3, 40]})", R"({"eos_token": "</s>"})").stop_ids(), ElementsAre(40, 3));
  EXPECT_THAT(with(R"({"eos_token_id": 3})", R"({"eos_token": {"content": "</s>"}})").stop_ids(), ElementsAre(3));
  EXPECT_EQ(with(R"({"eos_token_id": 3})", R"({"eos_token": {"content": "</s>"}})").eos(), 40);
  EXPECT_EQ(with(R"({"eos_token_id": 3})", "{}").eos(), 3);
  EXPECT_THAT(with("{}", R"({"eos_token": "</s>"})").stop_ids(), ElementsAre(40));
  EXPECT_THAT(with("{}", R"({"eos_token": null})").stop_ids(), ElementsAre());
}

TEST(Tokenizer, IsReadFromTheFileItselfToo) {
  MemoryFiles files({{"d/other.json", alphabet().dump()}, {"d/generation_config.json", R"({"eos_token_id": 5})"}});
  const Result<Tokenizer> tokenizer = Tokenizer::load(files, "d/other.json");
  ASSERT_TRUE(tokenizer.has_value());
  EXPECT_EQ(tokenizer->eos(), 5);
  EXPECT_EQ(tokenizer->content_hash().size(), 32u);
}

TEST(Tokenizer, GivesThreadsTheSameIds) {
  json t = alphabet();
  t["pre_tokenizer"] = json::parse(R"({"type": "Split", "pattern": {"Regex": "\\s+|\\S+"}, "behavior": "Isolated"})");
  t["model"]["vocab"]["ab"] = 30;
  t["model"]["merges"] = {"a b"};
  const Tokenizer tokenizer = make(t);
  std::string text;
  for (int i = 0; i < 2000; ++i)
    text += std::string("ab") + static_cast<char>('a' + i % 26) + static_cast<char>('a' + i / 26 % 26) + " ";
  const Ids expected = make(t).encode(text);
  std::vector<Ids> seen(4);
  std::vector<std::thread> threads;
  for (Ids& ids : seen) threads.emplace_back([&] { ids = tokenizer.encode(text); });
  for (std::thread& thread : threads) thread.join();
  for (const Ids& ids : seen) EXPECT_EQ(ids, expected);
}

}  // namespace
}  // namespace ftl
