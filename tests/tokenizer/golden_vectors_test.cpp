// Ids and texts against the reference implementation: golden vectors of real tokenizers (beside the repository, where
// they are) and of the example model's own (in the repository).
#include <gtest/gtest.h>

#include "tests/tokenizer/golden_data.h"
#include "tests/tokenizer/memory_files.h"
#include "trainer/tokenizer/pre_tokenizer.h"

namespace ftl {
namespace {

const std::filesystem::path source(FTL_SOURCE_DIR);
const std::filesystem::path& shared = real_tokenizers;

class RealTokenizer : public testing::TestWithParam<const char*> {};

TEST_P(RealTokenizer, GivesTheIdsAndTextsOfTheReferenceImplementation) {
  const std::filesystem::path directory = shared / GetParam();
  if (!std::filesystem::exists(directory / "tokenizer.json.gz")) {
    GTEST_SKIP() << "the real tokenizers are not beside this repository: " << directory;
  }
  MemoryFiles files({{"t/tokenizer.json", read_gzip(directory / "tokenizer.json.gz")},
                     {"t/tokenizer_config.json", read_plain(directory / "tokenizer_config.json")}});
  const Result<Tokenizer> tokenizer = Tokenizer::load(files, "t");
  ASSERT_TRUE(tokenizer.has_value()) << describe(tokenizer.error());
  EXPECT_TRUE(tokenizer->eos().has_value());
  expect_vectors(*tokenizer, read_gzip(shared / "vectors" / (std::string(GetParam()) + ".jsonl.gz")), 600);
}

INSTANTIATE_TEST_SUITE_P(Golden, RealTokenizer, testing::Values("llama3", "qwen3", "deepseek_v3", "mistral_v1"),
                         [](const auto& suite_case) { return std::string(suite_case.param); });

const std::filesystem::path& golden = golden_tokenizers;

Result<Tokenizer> example_tokenizer() {
  const std::filesystem::path model = source / "examples" / "tiny-llama";
  MemoryFiles files;
  for (const char* name : {"tokenizer.json", "tokenizer_config.json", "generation_config.json"}) {
    files[std::string("m/") + name] = read_plain(model / name);
  }
  return Tokenizer::load(files, "m");
}

TEST(ExampleTokenizer, GivesTheIdsAndTextsOfTheReferenceImplementation) {
  const Result<Tokenizer> tokenizer = example_tokenizer();
  ASSERT_TRUE(tokenizer.has_value()) << describe(tokenizer.error());
  EXPECT_EQ(tokenizer->bos(), std::nullopt);
  EXPECT_EQ(tokenizer->eos(), 0);
  expect_vectors(*tokenizer, read_plain(golden / "vectors.jsonl"), 200);
}

// As a generating model leaves it: ids that begin or end inside a character.
TEST(ExampleTokenizer, DecodesPartsOfCharactersAsTheReferenceImplementationDoes) {
  const Result<Tokenizer> tokenizer = example_tokenizer();
  ASSERT_TRUE(tokenizer.has_value()) << describe(tokenizer.error());
  std::istringstream in(read_plain(golden / "decode.jsonl"));
  std::size_t seen = 0;
  for (std::string line; std::getline(in, line); ++seen) {
    const auto vector = nlohmann::json::parse(line);
    EXPECT_EQ(tokenizer->decode(vector.at("ids").get<std::vector<std::int32_t>>()),
              vector.at("decoded").get<std::string>())
        << line;
  }
  EXPECT_EQ(seen, 24U);
}

class Family : public testing::TestWithParam<const char*> {};

TEST_P(Family, SplitsTextsAsTheReferenceImplementationDoes) {
  const auto patterns = nlohmann::json::parse(read_plain(golden / "patterns.json"));
  nlohmann::json steps = nlohmann::json::array();
  for (const auto& pattern : patterns.at(GetParam())) {
    steps.push_back({{"type", "Split"}, {"pattern", {{"Regex", pattern}}}, {"behavior", "Isolated"}});
  }
  const nlohmann::json sequence = {{"type", "Sequence"}, {"pretokenizers", steps}};
  std::optional<Failure> complaint;
  const PreTokenizer splitter = PreTokenizer::from_json(JsonView(sequence, "$", complaint));
  ASSERT_FALSE(complaint) << describe(*complaint);
  std::istringstream in(read_plain(golden / "pieces.jsonl"));
  std::size_t seen = 0;
  for (std::string line; std::getline(in, line); ++seen) {
    const auto vector = nlohmann::json::parse(line);
    const auto text = vector.at("text").get<std::string>();
    Pieces pieces;
    pieces.text = text;
    splitter.apply(pieces);
    std::vector<std::string> found;
    for (const Span& span : pieces.spans) found.emplace_back(pieces.text.substr(span.begin, span.end - span.begin));
    EXPECT_EQ(found, vector.at("pieces").at(GetParam()).get<std::vector<std::string>>()) << line.substr(0, 300);
  }
  EXPECT_GE(seen, 150U);
}

INSTANTIATE_TEST_SUITE_P(Golden, Family, testing::Values("gpt2", "llama3", "qwen2", "deepseek_v3", "tekken"),
                         [](const auto& suite_case) { return std::string(suite_case.param); });

}  // namespace
}  // namespace ftl
