#include "trainer/chat_template/chat_template.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <unordered_map>

#include "trainer/chat_template/evaluator.h"
#include "trainer/chat_template/parser.h"
#include "trainer/chat_template/template_error.h"
#include "trainer/tokenizer/utf8.h"

namespace ftl {

using chat::Place;
using chat::Run;
using chat::TemplateError;
using chat::Value;

struct ChatTemplate::Impl {
  chat::Body body;
  std::string where;
  chat::Limits limits;
  std::vector<std::pair<std::string, std::string>> special_tokens;
};

namespace {

// A template's text may be anything, and so may what it raises: neither comes to a terminal as it is.
std::string printable(std::string_view text) {
  constexpr std::size_t longest = 1000;
  std::string out;
  for (const char c : text.substr(0, longest)) out += static_cast<unsigned char>(c) < 0x20 && c != '\n' ? ' ' : c;
  return is_valid_utf8(out) ? out : repair_utf8(out);
}

Failure failure(FaultKind kind, const TemplateError& error, const std::string& where, Place place) {
  place = error.place().value_or(place);
  return {kind, printable(error.what()), fmt::format("{}:{}:{}", where, place.line, place.column), ""};
}

void add(std::vector<ByteSpan>& spans, ByteSpan span) {
  if (!spans.empty() && spans.back().end == span.begin && spans.back().begin != spans.back().end &&
      span.begin != span.end) {
    spans.back().end = span.end;
  } else {
    spans.push_back(span);
  }
}

RenderedChat with_spans(const chat::Text& text, std::size_t messages) {
  RenderedChat chat{text.bytes(), std::vector<MessageSpans>(messages), {}};
  std::int32_t generation = -1;  // of the run before
  for (const Run& run : text.runs()) {
    const ByteSpan span{run.begin, run.end};
    if (run.source.message >= 0) {
      MessageSpans& of = chat.messages[static_cast<std::size_t>(run.source.message)];
      if (run.begin != run.end) add(of.all, span);
      if (run.source.own) add(of.own, span);
    }
    if (run.begin == run.end || run.source.generation < 0) continue;
    const bool goes_on = !chat.generations.empty() && run.source.generation == generation;
    generation = run.source.generation;
    if (goes_on && chat.generations.back().end == span.begin) {
      chat.generations.back().end = span.end;
    } else {
      chat.generations.push_back(span);
    }
  }
  return chat;
}

std::unordered_map<std::string, Value> variables_of(const ChatRequest& request,
                                                    const std::vector<std::pair<std::string, std::string>>& tokens) {
  std::unordered_map<std::string, Value> variables;
  for (const auto& [name, text] : tokens) variables[name] = Value(text);
  variables["tools"] = chat::None{};
  variables["documents"] = chat::None{};
  if (request.arguments != nullptr) {
    for (const auto& [name, value] : request.arguments->items()) variables[name] = chat::from_json(value);
  }
  chat::Sequence messages;
  std::int32_t index = 0;
  for (const auto& message : *request.messages) messages.items.push_back(chat::message_from_json(message, index++));
  variables["messages"] = Value(std::move(messages));
  variables["add_generation_prompt"] = request.add_generation_prompt;
  return variables;
}

}  // namespace

ChatTemplate::ChatTemplate(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
ChatTemplate::ChatTemplate(ChatTemplate&&) noexcept = default;
ChatTemplate& ChatTemplate::operator=(ChatTemplate&&) noexcept = default;
ChatTemplate::~ChatTemplate() = default;

Result<ChatTemplate> ChatTemplate::parse(std::string_view source, const std::string& where, chat::Limits limits) {
  constexpr FaultKind kind = FaultKind::tokenizer_invalid;
  if (source.size() > limits.template_bytes) {
    return Failure{
        kind, fmt::format("the chat template has {} bytes, at most {} are read", source.size(), limits.template_bytes),
        where, ""};
  }
  if (!is_valid_utf8(source)) return Failure{kind, "the chat template is not UTF-8", where, ""};
  try {
    auto impl = std::make_unique<Impl>(Impl{chat::parse(source), where, limits, {}});
    return ChatTemplate(std::move(impl));
  } catch (const TemplateError& error) {
    return failure(kind, error, where, Place{});
  }
}

void ChatTemplate::set_special_tokens(std::vector<std::pair<std::string, std::string>> tokens) {
  impl_->special_tokens = std::move(tokens);
}

Result<RenderedChat> ChatTemplate::render(const ChatRequest& request) const {
  constexpr FaultKind kind = FaultKind::dataset_unreadable;
  if (request.messages == nullptr || !request.messages->is_array()) {
    return Failure{kind, "\"messages\" must be a list", "the chat", ""};
  }
  if (request.arguments != nullptr && !request.arguments->is_object()) {
    return Failure{kind, "the arguments of a template must be an object", "the chat", ""};
  }
  try {
    chat::Evaluator evaluator(impl_->limits, variables_of(request, impl_->special_tokens), request.now);
    try {
      return with_spans(evaluator.render(impl_->body), request.messages->size());
    } catch (const TemplateError& error) {
      return failure(kind, error, impl_->where, evaluator.place());
    }
  } catch (const TemplateError& error) {  // a value that does not fit
    return Failure{kind, printable(error.what()), "the chat", ""};
  }
}

}  // namespace ftl
