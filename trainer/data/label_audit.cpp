#include <algorithm>
#include <cstdio>

#include "trainer/data/examples.h"

namespace ftl {
namespace {

std::string percent(std::int64_t part, std::int64_t whole) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f %%",
                whole > 0 ? 100.0 * static_cast<double>(part) / static_cast<double>(whole) : 0.0);
  return text;
}

void append_line(std::string& out, const char* name, const std::string& value) {
  out.append(name).append(": ").append(value).append("\n");
}

// Line ends stay visible and an example stays one line.
std::string on_one_line(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '\n') {
      out += "\\n";
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) {
      out += '?';
    } else {
      out += c;
    }
  }
  return out;
}

std::string render(const Example& example, const Tokenizer& tokenizer) {
  std::string out;
  for (std::size_t begin = 0; begin < example.ids.size();) {
    std::size_t end = begin;
    while (end < example.ids.size() && example.supervised[end] == example.supervised[begin]) ++end;
    const std::string text = on_one_line(tokenizer.decode(std::span(example.ids).subspan(begin, end - begin)));
    if (example.supervised[begin]) {
      out.append("[[").append(text).append("]]");
    } else {
      out += text;
    }
    begin = end;
  }
  return out;
}

}  // namespace

std::string label_audit(const ExampleSet& set, const Tokenizer& tokenizer, int rendered) {
  std::int64_t tokens = 0, supervised = 0, ended = 0;
  std::size_t longest = 0;
  for (const Example& example : set.train) {
    tokens += static_cast<std::int64_t>(example.ids.size());
    supervised += example.supervised_count();
    longest = std::max(longest, example.ids.size());
    const auto stops = tokenizer.stop_ids();
    const bool stop = std::find(stops.begin(), stops.end(), example.ids.back()) != stops.end() ||
                      example.ids.back() == tokenizer.eos();
    if (stop && example.supervised.back()) ++ended;
  }
  const auto count = static_cast<std::int64_t>(set.train.size());
  std::string out;
  append_line(out, "training examples", std::to_string(count));
  append_line(out, "validation examples", std::to_string(set.validation.size()));
  for (const auto& [reason, number] : set.dropped) {
    append_line(out, reason == "truncated" ? "kept but cut" : "dropped", std::to_string(number) + " (" + reason + ")");
  }
  append_line(out, "tokens", std::to_string(tokens) + ", longest example " + std::to_string(longest));
  append_line(out, "supervised", std::to_string(supervised) + " tokens (" + percent(supervised, tokens) + ")");
  append_line(out, "taught to stop",
              std::to_string(ended) + " of " + std::to_string(count) + " examples (" + percent(ended, count) + ")");
  for (std::int64_t i = 0; i < std::min<std::int64_t>(rendered, count); ++i) {
    out.append("example ").append(std::to_string(i + 1)).append(": ");
    out.append(render(set.train[static_cast<std::size_t>(i)], tokenizer)).append("\n");
  }
  return out;
}

}  // namespace ftl
