// Chat templates: what turns messages into the text that a model was trained on. They are written in Jinja and come
// with models, so this is an interpreter of Jinja as transformers sets it up (ImmutableSandboxedEnvironment,
// trim_blocks, lstrip_blocks, break and continue, {% generation %}, its own tojson), within limits and without a way to
// the host. What is not understood is refused by name with line and column.
// https://huggingface.co/docs/transformers/main/en/chat_templating_writing
#pragma once

#include <cstdint>
#include <ctime>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "failures/result.h"
#include "trainer/chat_template/limits.h"
#include "trainer/chat_template/text.h"

namespace ftl {

// Bytes [begin, end) of a rendered chat.
struct ByteSpan {
  std::size_t begin, end;
  bool operator==(const ByteSpan&) const = default;
};

// What one message put into a rendered chat (docs/decisions/006-role-spans.md).
struct MessageSpans {
  // Everything written while the template was at this message, and its own texts wherever they stand: in order, apart.
  std::vector<ByteSpan> all;
  // Of these, the texts of the message itself (content, reasoning, arguments of tool calls; not role and name). An
  // empty span is where an empty text stands.
  std::vector<ByteSpan> own;
};

struct RenderedChat {
  std::string text;
  std::vector<MessageSpans> messages;  // one for each message of the request
  std::vector<ByteSpan> generations;   // of {% generation %} blocks, in order, empty ones left out
};

struct ChatRequest {
  const nlohmann::ordered_json* messages = nullptr;  // an array
  bool add_generation_prompt = false;
  // An object; its entries become variables (tools, documents, enable_thinking ...) and win over special tokens. Null:
  // none.
  const nlohmann::ordered_json* arguments = nullptr;
  std::tm now{};  // local time, for strftime_now
};

class ChatTemplate {
 public:
  // `where` names the template in messages. Kind tokenizer_invalid, with the line and column.
  static Result<ChatTemplate> parse(std::string_view source, const std::string& where, chat::Limits limits = {});
  ChatTemplate(ChatTemplate&&) noexcept;
  ChatTemplate& operator=(ChatTemplate&&) noexcept;
  ~ChatTemplate();

  // Name and text of bos_token, eos_token ...; variables of every rendering.
  void set_special_tokens(std::vector<std::pair<std::string, std::string>> tokens);
  // Kind dataset_unreadable when the template refuses the messages, cannot go on with them, or comes to a limit.
  Result<RenderedChat> render(const ChatRequest& request) const;

 private:
  struct Impl;
  explicit ChatTemplate(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace ftl
