#include "trainer/tokenizer/decoder.h"

#include <charconv>

#include "trainer/tokenizer/pattern.h"
#include "trainer/tokenizer/utf8.h"

namespace ftl {
namespace {

void decode_byte_level(std::vector<std::string>& tokens) {
  std::string bytes;
  for (const std::string& token : tokens) append_from_byte_alphabet(bytes, token);
  tokens.assign(1, repair_utf8(bytes));
}

// The byte of "<0x0A>", or -1.
int byte_of(std::string_view token) {
  if (token.size() != 6 || !token.starts_with("<0x") || token.back() != '>') return -1;
  int value = -1;
  const auto [end, error] = std::from_chars(token.data() + 3, token.data() + 5, value, 16);
  return error == std::errc() && end == token.data() + 5 && value >= 0 ? value : -1;
}

// A run of byte tokens is one text when it is UTF-8, else one U+FFFD a byte.
void decode_byte_fallback(std::vector<std::string>& tokens) {
  std::vector<std::string> out;
  std::string run;
  const auto flush = [&] {
    if (run.empty()) return;
    if (is_valid_utf8(run)) {
      out.push_back(run);
    } else {
      out.insert(out.end(), run.size(), "\xEF\xBF\xBD");
    }
    run.clear();
  };
  for (std::string& token : tokens) {
    if (const int byte = byte_of(token); byte >= 0) {
      run += static_cast<char>(static_cast<unsigned char>(byte));
    } else {
      flush();
      out.push_back(std::move(token));
    }
  }
  flush();
  tokens.swap(out);
}

void fuse(std::vector<std::string>& tokens) {
  std::string all;
  for (const std::string& token : tokens) all += token;
  tokens.assign(1, std::move(all));
}

// English punctuation as word pieces leave it: "do n't ." is "don't."
void remove_space_before_punctuation(std::string& token) {
  static const std::pair<Pattern, const char*> rules[] = {
      {Pattern::literal(" ."), "."},     {Pattern::literal(" ?"), "?"},           {Pattern::literal(" !"), "!"},
      {Pattern::literal(" ,"), ","},     {Pattern::literal(" ' "), "'"},          {Pattern::literal(" n't"), "n't"},
      {Pattern::literal(" 'm"), "'m"},   {Pattern::literal(" do not"), " don't"}, {Pattern::literal(" 's"), "'s"},
      {Pattern::literal(" 've"), "'ve"}, {Pattern::literal(" 're"), "'re"}};
  std::string spare;
  for (const auto& [pattern, with] : rules) pattern.replace_all(token, with, spare);
}

}  // namespace

Decoder Decoder::from_json(const JsonView& view) {
  Decoder decoder;
  if (view.is_null()) {
    decoder.joint_ += ' ';
  } else {
    decoder.add(view);
  }
  return decoder;
}

Decoder Decoder::byte_level() {
  Decoder decoder;
  decoder.add_step(decode_byte_level);
  return decoder;
}

void Decoder::add(const JsonView& view) {
  const std::string type = view.text("type");
  if (view.failed()) return;
  if (type == "Sequence") {
    for (const JsonView& element : view.at("decoders").elements()) add(element);
  } else if (type == "ByteLevel") {
    steps_.emplace_back(decode_byte_level);
  } else if (type == "ByteFallback") {
    steps_.emplace_back(decode_byte_fallback);
  } else if (type == "Fuse") {
    steps_.emplace_back(fuse);
  } else if (type == "Replace") {
    steps_.emplace_back([pattern = Pattern::from_json(view.at("pattern")),
                         content = view.text("content")](std::vector<std::string>& tokens) {
      std::string spare;
      for (std::string& token : tokens) pattern->replace_all(token, content, spare);
    });
  } else if (type == "Strip") {
    add_strip(view);
  } else if (type == "Metaspace") {
    const std::string mark = view.text_or("replacement", "\xE2\x96\x81");
    const bool dummy =
        view.text_or("prepend_scheme", view.flag("add_prefix_space", true) ? "always" : "never") != "never";
    if (mark.empty()) return view.complain("the replacement is empty");
    steps_.emplace_back([mark, pattern = Pattern::literal(mark), dummy](std::vector<std::string>& tokens) {
      std::string spare;
      for (std::size_t i = 0; i < tokens.size(); ++i) pattern.replace_all(tokens[i], i == 0 && dummy ? "" : " ", spare);
    });
  } else if (type == "BPEDecoder") {
    const std::string suffix = view.text_or("suffix", "</w>");
    if (suffix.empty()) return view.complain("the suffix is empty");
    steps_.emplace_back([pattern = Pattern::literal(suffix)](std::vector<std::string>& tokens) {
      std::string spare;
      for (std::size_t i = 0; i < tokens.size(); ++i)
        pattern.replace_all(tokens[i], i + 1 == tokens.size() ? "" : " ", spare);
    });
  } else if (type == "WordPiece") {
    steps_.emplace_back([prefix = view.text_or("prefix", "##"),
                         cleanup = view.flag("cleanup", true)](std::vector<std::string>& tokens) {
      for (std::size_t i = 0; i < tokens.size(); ++i) {
        if (i > 0) tokens[i] = tokens[i].starts_with(prefix) ? tokens[i].substr(prefix.size()) : " " + tokens[i];
        if (cleanup) remove_space_before_punctuation(tokens[i]);
      }
    });
  } else {
    view.complain_unsupported("decoder", type);
  }
}

void Decoder::add_strip(const JsonView& view) {
  const std::string content = view.text("content");
  const std::int64_t start = view.integer("start"), stop = view.integer("stop");
  if (content.empty() || start < 0 || stop < 0)
    return view.complain("Strip needs a character and counts of at least 0");
  steps_.emplace_back([content, start, stop](std::vector<std::string>& tokens) {
    for (std::string& token : tokens) {
      std::string_view rest = token;
      for (std::int64_t i = 0; i < start && rest.starts_with(content); ++i) rest.remove_prefix(content.size());
      for (std::int64_t i = 0; i < stop && rest.ends_with(content); ++i) rest.remove_suffix(content.size());
      token = std::string(rest);
    }
  });
}

std::string Decoder::decode(std::vector<std::string> tokens) const {
  for (const auto& step : steps_) step(tokens);
  std::string text;
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    if (i > 0) text += joint_;
    text += tokens[i];
  }
  return text;
}

}  // namespace ftl
