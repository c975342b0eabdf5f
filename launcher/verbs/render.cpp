#include <ctime>
#include <stdexcept>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "checkpoints/files.h"
#include "launcher/verbs/command_line.h"
#include "launcher/verbs/isolation.h"
#include "launcher/verbs/json_lines.h"
#include "launcher/verbs/verb.h"
#include "trainer/chat_template/template_files.h"
#include "trainer/tokenizer/json_view.h"

namespace ftl {
namespace {

using Json = nlohmann::ordered_json;

std::tm local_time() {
  const std::time_t now = std::time(nullptr);
  std::tm local{};
  ::localtime_r(&now, &local);
  return local;
}

Json as_json(const std::vector<ByteSpan>& spans) {
  Json list = Json::array();
  for (const ByteSpan& span : spans) list.push_back({span.begin, span.end});
  return list;
}

std::string written(const Json& reply) { return reply.dump(-1, ' ', false, Json::error_handler_t::replace); }

std::string answer(const ChatTemplate& chat_template, const std::string& line, bool with_spans) {
  if (json_nests_deeper_than(line, 64)) throw std::invalid_argument("the line nests deeper than 64 levels");
  const Json request = Json::parse(line);
  if (!request.is_object() || !request.contains("messages")) {
    throw std::invalid_argument("a line must be an object with a list \"messages\"");
  }
  const bool has_arguments = request.contains("kwargs") && !request["kwargs"].is_null();
  const bool prompts = request.contains("add_generation_prompt") && request["add_generation_prompt"] == true;
  const Result<RenderedChat> chat =
      chat_template.render({&request["messages"], prompts, has_arguments ? &request["kwargs"] : nullptr, local_time()});
  if (!chat) return written({{"rendered", nullptr}, {"error", chat.error().what + " (" + chat.error().where + ")"}});
  Json reply = {{"rendered", chat->text}, {"error", nullptr}};
  if (with_spans) {
    reply["generations"] = as_json(chat->generations);
    reply["messages"] = Json::array();
    for (const MessageSpans& spans : chat->messages) {
      reply["messages"].push_back({{"all", as_json(spans.all)}, {"own", as_json(spans.own)}});
    }
  }
  return written(reply);
}

int render(const std::string& directory, const std::string& name, bool with_spans) {
  PosixFiles files;
  const Result<ChatTemplate> chat_template = load_chat_template(files, directory, name);
  if (!chat_template) return refuse(chat_template.error());
  return filter_json_lines([&](const std::string& line) { return answer(*chat_template, line, with_spans); });
}

}  // namespace

int run_render(const Arguments& arguments) {
  CLI::App app(
      "Chats as a model sees them: {\"messages\", \"add_generation_prompt\", \"kwargs\"} a line in, {\"rendered\", "
      "\"error\"} out.",
      "ftlaunch render");
  std::string directory, name = "default";
  bool with_spans = false;
  app.add_option("--tokenizer", directory, "directory with tokenizer_config.json or chat_template.jinja")->required();
  app.add_option("--template", name, "which template, when the tokenizer has several by name");
  app.add_flag("--spans", with_spans, "also the byte ranges of every message and of {% generation %} blocks");
  if (auto code = parse(app, arguments)) return *code;
  return exit_code_from_child("rendering chats", [&] { return render(directory, name, with_spans); });
}

}  // namespace ftl
