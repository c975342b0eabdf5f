// Where a chat template is looked for, and what is said when it is not there.
#include <gtest/gtest.h>

#include <map>
#include <nlohmann/json.hpp>
#include <string>

#include "tests/tokenizer/memory_files.h"
#include "trainer/chat_template/template_files.h"

namespace ftl {
namespace {

using Json = nlohmann::ordered_json;

using FilesByPath = std::map<std::string, std::string>;

std::string outcome(const FilesByPath& by_path, const std::string& name = "default") {
  MemoryFiles files(by_path);
  const Json messages = Json::array({{{"role", "user"}, {"content", "hi"}}});
  const Result<ChatTemplate> made = load_chat_template(files, "t", name);
  if (!made) return std::string(info(made.error().kind).name) + ": " + made.error().what;
  const Result<RenderedChat> chat = made->render({&messages, false, nullptr, {}});
  return chat ? chat->text : chat.error().what;
}

FilesByPath config(const std::string& text) { return {{"t/tokenizer_config.json", text}}; }

TEST(TemplateFiles, GiveTheConfigsTemplateItsSpecialTokens) {
  EXPECT_EQ(outcome(config(R"({"bos_token": "<s>", "eos_token": {"content": "</s>", "lstrip": false}, "pad_token": null,
      "image_token": "<i>", "chat_template": "{{ bos_token }}{{ eos_token }}{{ pad_token is defined }}{{ image_token }}"})")),
            "<s></s>False<i>");
}

TEST(TemplateFiles, ChooseFromAListByName) {
  const char* list =
      R"({"chat_template": [{"name": "default", "template": "d"}, {"name": "tool_use", "template": "u"}]})";
  EXPECT_EQ(outcome(config(list)), "d");
  EXPECT_EQ(outcome(config(list), "tool_use"), "u");
  EXPECT_EQ(outcome(config(list), "rag"),
            "tokenizer_invalid: there is no chat template named \"rag\", only \"default\", \"tool_use\"");
}

TEST(TemplateFiles, PreferTheFileOfItsOwn) {
  FilesByPath files = config(R"({"bos_token": "<s>", "chat_template": "old"})");
  files["t/chat_template.jinja"] = "{{ bos_token }}new";
  EXPECT_EQ(outcome(files), "<s>new");
  EXPECT_EQ(outcome({{"t/chat_template.jinja", "alone"}}), "alone");
}

TEST(TemplateFiles, SayWhatIsWrong) {
  EXPECT_EQ(outcome({}), "file_not_found: no such file");
  EXPECT_EQ(outcome(config("{}")), "tokenizer_invalid: the tokenizer has no chat template");
  EXPECT_EQ(outcome(config("[]")), "tokenizer_invalid: the tokenizer has no chat template");
  EXPECT_EQ(outcome(config(R"({"chat_template": 5})")), "tokenizer_invalid: expected a string, found number");
  EXPECT_EQ(outcome(config(R"({"chat_template": [1]})")), "tokenizer_invalid: expected an object, found number");
  EXPECT_EQ(outcome(config(R"({"chat_template": "{{ x"})")), "tokenizer_invalid: the tag has no end `}}`");
  EXPECT_NE(outcome(config("{")).find("tokenizer_invalid: not valid JSON"), std::string::npos);
}

}  // namespace
}  // namespace ftl
