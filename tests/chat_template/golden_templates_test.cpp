// Rendered chats against Jinja itself: features of the language, original templates in the manner of published families
// (both in the repository) and real templates (beside the repository, where they are).
#include <gtest/gtest.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>

#include "tests/tokenizer/memory_files.h"
#include "trainer/chat_template/template_files.h"

namespace ftl {
namespace {

using Json = nlohmann::ordered_json;

const std::filesystem::path source(FTL_SOURCE_DIR);
const std::filesystem::path golden = source / "tests" / "golden" / "data" / "chat_template";
const std::filesystem::path shared = source / ".." / "shared" / "tokenizers";

std::string read_plain(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

std::string read_gzip(const std::filesystem::path& path) {
  const std::string command = "gzip -dc '" + path.string() + "'";
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> pipe(popen(command.c_str(), "r"), pclose);
  std::string out;
  char block[1 << 16];
  for (std::size_t got; pipe && (got = std::fread(block, 1, sizeof block, pipe.get())) > 0;) out.append(block, got);
  return out;
}

std::vector<Json> lines_of(const std::string& text) {
  std::vector<Json> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(Json::parse(line));
  return lines;
}

const std::vector<std::pair<std::string, std::string>> special = {
    {"bos_token", "<s>"}, {"eos_token", "</s>"}, {"pad_token", "<pad>"}, {"unk_token", "<unk>"}};

Result<RenderedChat> rendered(Result<ChatTemplate> made, const ChatRequest& request) {
  if (!made) return made.error();
  made->set_special_tokens(special);
  return made->render(request);
}

// The same text, or an error where there was one.
void expect_golden(const Result<RenderedChat>& chat, const Json& row, const std::string& what) {
  if (row.at("error").is_null()) {
    ASSERT_TRUE(chat.has_value()) << what << "\n" << describe(chat.error());
    EXPECT_EQ(chat->text, row.at("rendered").get<std::string>()) << what;
  } else if (chat.has_value()) {
    ADD_FAILURE() << what << "\nshould end with " << row["error"] << ", gave " << chat->text;
  }
}

TEST(TemplateLanguage, IsThatOfJinja) {
  const Json variables = Json::parse(read_plain(golden / "variables.json"));
  const ChatRequest request{&variables["messages"], false, &variables["kwargs"], {}};
  const std::vector<Json> rows = lines_of(read_plain(golden / "language.jsonl"));
  for (const Json& row : rows) {
    const auto text = row.at("template").get<std::string>();
    expect_golden(rendered(ChatTemplate::parse(text, "template"), request), row, text);
  }
  EXPECT_GE(rows.size(), 600U);
}

TEST(TemplateFamilies, RenderAsJinjaDoes) {
  const std::vector<Json> rows = lines_of(read_plain(golden / "families.jsonl"));
  for (const Json& row : rows) {
    const auto family = row.at("family").get<std::string>();
    const std::string text = read_plain(golden / "families" / (family + ".jinja"));
    const ChatRequest request{&row["messages"], row["add_generation_prompt"].get<bool>(), &row["kwargs"], {}};
    const Result<RenderedChat> chat = rendered(ChatTemplate::parse(text, family), request);
    expect_golden(chat, row, family + " " + row["messages"].dump());
    if (!chat || !row.contains("generations")) continue;
    Json spans = Json::array();
    for (const ByteSpan& span : chat->generations) spans.push_back({span.begin, span.end});
    EXPECT_EQ(spans, row["generations"]) << family << " " << row["messages"];
  }
  EXPECT_GE(rows.size(), 200U);
}

class RealTemplate : public testing::TestWithParam<const char*> {};

TEST_P(RealTemplate, RendersAsJinjaDoes) {
  const std::filesystem::path config = shared / GetParam() / "tokenizer_config.json";
  const std::filesystem::path vectors = shared / "chat_vectors" / (std::string(GetParam()) + ".jsonl.gz");
  if (!std::filesystem::exists(config) || !std::filesystem::exists(vectors)) {
    GTEST_SKIP() << "the real tokenizers are not beside this repository: " << config;
  }
  MemoryFiles files({{"t/tokenizer_config.json", read_plain(config)}});
  const Result<ChatTemplate> made = load_chat_template(files, "t");
  ASSERT_TRUE(made.has_value()) << describe(made.error());
  const std::vector<Json> rows = lines_of(read_gzip(vectors));
  for (const Json& row : rows) {
    const ChatRequest request{&row["messages"], row["add_generation_prompt"].get<bool>(), &row["kwargs"], {}};
    expect_golden(made->render(request), row, row["messages"].dump());
  }
  EXPECT_GE(rows.size(), 50U);
}

INSTANTIATE_TEST_SUITE_P(Golden, RealTemplate, testing::Values("llama3", "qwen3", "deepseek_v3"),
                         [](const auto& suite_case) { return std::string(suite_case.param); });

}  // namespace
}  // namespace ftl
