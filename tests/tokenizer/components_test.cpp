// Every component of a tokenizer.json, SentencePiece models and tiktoken files against the libraries that made them.
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "tests/tokenizer/golden_data.h"
#include "tests/tokenizer/memory_files.h"
#include "trainer/tokenizer/utf8.h"

namespace ftl {
namespace {

using nlohmann::json;
using Ids = std::vector<std::int32_t>;

TEST(Components, GiveTheIdsAndTextsOfTheReferenceImplementation) {
  const json texts = json::parse(read_plain(golden_tokenizers / "texts.json"));
  std::istringstream in(read_plain(golden_tokenizers / "components.jsonl"));
  std::set<std::string> seen;
  for (std::string line; std::getline(in, line);) {
    const json row = json::parse(line);
    const auto name = row.at("name").get<std::string>();
    seen.insert(name);
    MemoryFiles files({{"t/tokenizer.json", row.at("tokenizer").dump()}});
    const Result<Tokenizer> tokenizer = Tokenizer::load(files, "t");
    ASSERT_TRUE(tokenizer.has_value()) << name << ": " << describe(tokenizer.error());
    ASSERT_EQ(row.at("vectors").size(), texts.size());
    for (std::size_t i = 0; i < texts.size(); ++i) {
      const json& vector = row["vectors"][i];  // [ids, ids with special tokens if they differ, decoded]
      const auto text = texts[i].get<std::string>();
      const auto ids = vector[0].get<Ids>();
      EXPECT_EQ(tokenizer->encode(text), ids) << name << ": " << texts[i];
      EXPECT_EQ(tokenizer->encode(text), ids) << name << ", again: " << texts[i];
      EXPECT_EQ(tokenizer->encode_with_special(text), vector[1].is_null() ? ids : vector[1].get<Ids>()) << name;
      EXPECT_EQ(tokenizer->decode(ids), vector[2].get<std::string>()) << name << ": " << texts[i];
    }
  }
  EXPECT_GE(seen.size(), 45U);
}

class SentencePieceModel : public testing::TestWithParam<const char*> {};

TEST_P(SentencePieceModel, GivesTheIdsAndTextsOfTheReferenceImplementation) {
  const std::filesystem::path folder = golden_tokenizers / "sentencepiece";
  MemoryFiles files({{"t/tokenizer.model", read_plain(folder / (std::string(GetParam()) + ".model"))}});
  const Result<Tokenizer> tokenizer = Tokenizer::load(files, "t");
  ASSERT_TRUE(tokenizer.has_value()) << describe(tokenizer.error());
  expect_vectors(*tokenizer, read_plain(folder / (std::string(GetParam()) + ".jsonl")), 34);
}

INSTANTIATE_TEST_SUITE_P(Golden, SentencePieceModel,
                         testing::Values("llama", "gemma", "bpe_rules", "unigram_rules", "unigram_bytes", "suffix",
                                         "bpe_suffix", "bare"),
                         [](const auto& suite_case) { return std::string(suite_case.param); });

TEST(SentencePieceSettings, OfTheConfigurationSurroundAndRecognise) {
  const std::string model = read_plain(golden_tokenizers / "sentencepiece" / "llama.model");
  const auto load = [&](const std::string& config) {
    MemoryFiles files({{"t/tokenizer.model", model}});
    if (!config.empty()) files["t/tokenizer_config.json"] = config;
    Result<Tokenizer> tokenizer = Tokenizer::load(files, "t");
    EXPECT_TRUE(tokenizer.has_value()) << describe(tokenizer.error());
    return std::move(*tokenizer);
  };
  const Tokenizer bare = load("");
  EXPECT_EQ(bare.bos(), 1);
  EXPECT_EQ(bare.eos(), 2);
  EXPECT_EQ(bare.encode_with_special("").front(), 1);
  const Ids spelled = bare.encode("</s>");
  EXPECT_EQ(std::count(spelled.begin(), spelled.end(), 2), 0) << "the file alone names nothing that texts may hold";
  const Tokenizer legacy = load(R"({"eos_token": "</s>", "add_bos_token": false, "add_eos_token": true})");
  EXPECT_EQ(legacy.encode_with_special(""), Ids{2});
  Ids expected = bare.encode("a");
  expected.push_back(2);
  const Ids behind = bare.encode("b");
  Ids with_prefix = expected;
  with_prefix.insert(with_prefix.end(), behind.begin(), behind.end());
  EXPECT_EQ(legacy.encode("a</s>b"), with_prefix);
  const Tokenizer modern = load(R"({"eos_token": {"content": "</s>"}, "legacy": false})");
  EXPECT_NE(modern.encode("a</s>b"), with_prefix);
  EXPECT_EQ(modern.decode(modern.encode("a</s>b")), "a</s>b");
  EXPECT_NE(legacy.content_hash(), modern.content_hash());
}

TEST(SentencePieceSettings, AddedTokensHaveIdsInProportion) {
  MemoryFiles files({{"t/tokenizer.model", read_plain(golden_tokenizers / "sentencepiece" / "bare.model")}});
  files["t/tokenizer_config.json"] = R"({"added_tokens_decoder": {"9999999": {"content": "<far>"}}})";
  const Result<Tokenizer> tokenizer = Tokenizer::load(files, "t");
  ASSERT_FALSE(tokenizer.has_value());
  EXPECT_NE(tokenizer.error().what.find("the largest id is 9999999, but there are only "), std::string::npos);
  EXPECT_NE(tokenizer.error().where.find("$.added_tokens_decoder"), std::string::npos);
}

std::string base64(std::string_view bytes) {
  constexpr char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    std::uint32_t bits = 0;
    for (std::size_t k = 0; k < 3; ++k)
      bits = bits << 8 | (i + k < bytes.size() ? static_cast<unsigned char>(bytes[i + k]) : 0u);
    for (std::size_t k = 0; k < 4; ++k) out += i + k <= bytes.size() ? digits[bits >> (18 - 6 * k) & 63u] : '=';
  }
  return out;
}

// The same tokenizer in its other form: the ranks of Llama 3's tokenizer.json as its tokenizer.model has them.
TEST(Tiktoken, GivesTheIdsOfTheSameTokenizerAsJson) {
  const std::filesystem::path packed = real_tokenizers / "llama3" / "tokenizer.json.gz";
  if (!std::filesystem::exists(packed))
    GTEST_SKIP() << "the real tokenizers are not beside this repository: " << packed;
  std::string ranks;
  const json vocabulary = json::parse(read_gzip(packed)).at("model").at("vocab");
  for (const auto& [token, id] : vocabulary.items()) {
    std::string bytes;
    append_from_byte_alphabet(bytes, token);
    ranks += base64(bytes) + " " + std::to_string(id.get<int>()) + "\n";
  }
  MemoryFiles files({{"t/tokenizer.model", ranks}});
  const Result<Tokenizer> tokenizer = Tokenizer::load(files, "t");
  ASSERT_TRUE(tokenizer.has_value()) << describe(tokenizer.error());
  EXPECT_EQ(tokenizer->bos(), 128000);
  EXPECT_EQ(tokenizer->eos(), 128001);
  EXPECT_EQ(tokenizer->encode_with_special("").size(), 1U);
  EXPECT_EQ(tokenizer->encode("<|eot_id|><|python_tag|>"), (Ids{128009, 128010}));
  expect_vectors(*tokenizer, read_gzip(real_tokenizers / "vectors" / "llama3.jsonl.gz"), 600, false);
}

TEST(Tiktoken, OfAnotherFamilyIsRefused) {
  std::string ranks;
  for (int byte = 0; byte < 256; ++byte)
    ranks += base64(std::string(1, static_cast<char>(byte))) + " " + std::to_string(byte) + "\n";
  MemoryFiles files({{"t/tokenizer.model", ranks}, {"q/qwen.tiktoken", ranks + "nonsense\n"}});
  EXPECT_NE(Tokenizer::load(files, "t").error().what.find("256 ranks; Llama 3 has 128000"), std::string::npos);
  EXPECT_NE(Tokenizer::load(files, "q").error().what.find("line 257"), std::string::npos);
}

}  // namespace
}  // namespace ftl
