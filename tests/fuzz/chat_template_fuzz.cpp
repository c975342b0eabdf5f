// A chat template, and behind its first NUL byte the messages for it as JSON. Rendered: the text is UTF-8 and within
// its limit, spans lie in it, in order and apart, and a second rendering gives the same.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "tests/fuzz/fuzz_target.h"
#include "trainer/chat_template/chat_template.h"
#include "trainer/tokenizer/json_view.h"
#include "trainer/tokenizer/utf8.h"

namespace ftl {
namespace {

using Json = nlohmann::ordered_json;

Json usual_messages() {
  return Json::array({{{"role", "system"}, {"content", "Be brief."}},
                      {{"role", "user"}, {"content", " caf\u00e9? "}},
                      {{"role", "assistant"},
                       {"content", "<think>\nhm\n</think>\n\nYes."},
                       {"tool_calls", {{{"function", {{"name", "f"}, {"arguments", {{"x", 1.5}}}}}}}}}});
}

void must_be_in_order(const std::vector<ByteSpan>& spans, std::size_t size) {
  std::size_t before = 0;
  for (const ByteSpan& span : spans) {
    must(before <= span.begin && span.begin <= span.end && span.end <= size, "spans lie in the text, in order, apart");
    before = span.end;
  }
}

bool run(std::string_view input) {
  chat::Limits small;  // so that a run takes milliseconds
  small.steps = 20'000;
  small.memory_bytes = std::size_t{8} << 20;
  small.output_bytes = std::size_t{1} << 20;
  const std::size_t end = std::min(input.find('\0'), input.size());
  const Result<ChatTemplate> made = ChatTemplate::parse(input.substr(0, end), "t", small);
  if (!made) {
    must(made.error().kind == FaultKind::tokenizer_invalid && !made.error().what.empty(), "a refusal says why");
    return false;
  }
  Json messages = usual_messages();
  if (end < input.size()) {
    const std::string_view text = input.substr(end + 1);
    if (json_nests_deeper_than(text, 64)) return false;
    messages = Json::parse(text, nullptr, false);
    if (messages.is_discarded()) return false;
  }
  const ChatRequest request{&messages, true, nullptr, {}};
  const Result<RenderedChat> chat = made->render(request);
  if (!chat) {
    must(chat.error().kind == FaultKind::dataset_unreadable && !chat.error().what.empty(), "a refusal says why");
    return false;
  }
  must(is_valid_utf8(chat->text) && chat->text.size() <= small.output_bytes, "the text is UTF-8 within its limit");
  must(chat->messages.size() == messages.size(), "every message has its spans");
  for (const MessageSpans& spans : chat->messages) {
    must_be_in_order(spans.all, chat->text.size());
    must_be_in_order(spans.own, chat->text.size());
  }
  must_be_in_order(chat->generations, chat->text.size());
  const Result<RenderedChat> again = made->render(request);
  must(again && again->text == chat->text, "the same chat gives the same text");
  return true;
}

const FuzzTarget target("chat_template", run);

}  // namespace
}  // namespace ftl
