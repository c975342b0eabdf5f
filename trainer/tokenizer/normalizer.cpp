#include "trainer/tokenizer/normalizer.h"

#include <algorithm>
#include <cstdlib>
#include <map>

#include <utf8proc.h>

#include "trainer/tokenizer/pattern.h"
#include "trainer/tokenizer/utf8.h"

namespace ftl {
namespace {

const std::map<std::string, int, std::less<>> normal_forms = {
    {"NFC", UTF8PROC_STABLE | UTF8PROC_COMPOSE},
    {"NFD", UTF8PROC_STABLE | UTF8PROC_DECOMPOSE},
    {"NFKC", UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_COMPAT},
    {"NFKD", UTF8PROC_STABLE | UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT},
};

std::string to_normal_form(std::string text, int options) {
  if (std::all_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x80; })) return text;
  utf8proc_uint8_t* mapped = nullptr;
  const auto length =
      utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(text.data()), static_cast<utf8proc_ssize_t>(text.size()),
                   &mapped, static_cast<utf8proc_option_t>(options));
  if (length < 0) return text;  // out of memory only: the text is well-formed
  text.assign(reinterpret_cast<const char*>(mapped), static_cast<std::size_t>(length));
  std::free(mapped);
  return text;
}

template <class Rule>  // Rule(out, code point)
std::string map_characters(std::string_view text, Rule rule) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const CodePoint point = first_code_point(text);
    rule(out, point.value);
    text.remove_prefix(point.length);
  }
  return out;
}

void append_lowercase(std::string& out, char32_t c) {
  if (c == 0x130) {
    out += "i\xCC\x87";  // the one character whose lower case is two
  } else {
    append_utf8(out, static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(c))));
  }
}

void append_unless_mark(std::string& out, char32_t c) {
  const auto category = utf8proc_category(static_cast<utf8proc_int32_t>(c));
  if (category != UTF8PROC_CATEGORY_MN && category != UTF8PROC_CATEGORY_MC && category != UTF8PROC_CATEGORY_ME)
    append_utf8(out, c);
}

std::string strip_white_space(std::string_view text, bool left, bool right) {
  while (left && !text.empty() && is_white_space(first_code_point(text).value))
    text.remove_prefix(first_code_point(text).length);
  while (right && !text.empty() && is_white_space(last_code_point(text).value))
    text.remove_suffix(last_code_point(text).length);
  return std::string(text);
}

}  // namespace

Normalizer Normalizer::from_json(const JsonView& view) {
  Normalizer normalizer;
  if (!view.raw().is_null()) normalizer.add(view);
  return normalizer;
}

void Normalizer::add(const JsonView& view) {
  const std::string type = view.text("type");
  if (view.failed()) return;
  if (const auto form = normal_forms.find(type); form != normal_forms.end()) {
    steps_.emplace_back(
        [options = form->second](std::string text) { return to_normal_form(std::move(text), options); });
  } else if (type == "Sequence") {
    for (const JsonView& element : view.at("normalizers").elements()) add(element);
  } else if (type == "Lowercase") {
    steps_.emplace_back([](const std::string& text) { return map_characters(text, append_lowercase); });
  } else if (type == "StripAccents") {
    steps_.emplace_back([](const std::string& text) { return map_characters(text, append_unless_mark); });
  } else if (type == "Strip") {
    steps_.emplace_back([left = view.flag("strip_left", true), right = view.flag("strip_right", true)](
                            const std::string& text) { return strip_white_space(text, left, right); });
  } else if (type == "Prepend") {
    steps_.emplace_back(
        [prefix = view.text("prepend")](std::string text) { return text.empty() ? text : prefix + text; });
  } else if (type == "Replace") {
    steps_.emplace_back([pattern = Pattern::from_json(view.at("pattern")), content = view.text("content")](
                            const std::string& text) { return pattern->replace_all(text, content); });
  } else if (type == "ByteLevel") {
    steps_.emplace_back([](const std::string& text) { return to_byte_alphabet(text); });
  } else {
    view.complain_unsupported("normalizer", type);
  }
}

std::string Normalizer::apply(std::string text) const {
  for (const auto& step : steps_) text = step(std::move(text));
  return text;
}

}  // namespace ftl
