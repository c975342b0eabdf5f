#include "trainer/tokenizer/normalizer.h"

#include <cstdlib>
#include <map>

#include <utf8proc.h>

#include "trainer/tokenizer/canonical_composition.h"
#include "trainer/tokenizer/character_map.h"
#include "trainer/tokenizer/pattern.h"
#include "trainer/tokenizer/utf8.h"

namespace ftl {
namespace {

const std::map<std::string, int, std::less<>> normal_forms = {
    {"NFD", UTF8PROC_STABLE | UTF8PROC_DECOMPOSE},
    {"NFKC", UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_COMPAT},
    {"NFKD", UTF8PROC_STABLE | UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT},
};

// NFC has its own, faster way.
void to_normal_form(NormalizedText& room, int options) {
  if (ascii_prefix(room.text) == room.text.size()) return;
  utf8proc_uint8_t* mapped = nullptr;
  const auto length =
      utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(room.text.data()),
                   static_cast<utf8proc_ssize_t>(room.text.size()), &mapped, static_cast<utf8proc_option_t>(options));
  if (length < 0) return;  // out of memory only: the text is well-formed
  room.text.assign(reinterpret_cast<const char*>(mapped), static_cast<std::size_t>(length));
  std::free(mapped);
}

template <class Rule>  // Rule(out, code point)
Normalizer::Step map_characters(Rule rule) {
  return [rule](NormalizedText& room) {
    room.spare.clear();
    for (std::string_view rest = room.text; !rest.empty();) {
      const CodePoint point = first_code_point(rest);
      rule(room.spare, point.value);
      rest.remove_prefix(point.length);
    }
    room.text.swap(room.spare);
  };
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

// Control characters go, white space becomes a space.
void append_clean(std::string& out, char32_t c) {
  if (c == '\t' || c == '\n' || c == '\r') {
    out += ' ';
    return;
  }
  const auto category = utf8proc_category(static_cast<utf8proc_int32_t>(c));
  const bool control = category == UTF8PROC_CATEGORY_CC || category == UTF8PROC_CATEGORY_CF ||
                       category == UTF8PROC_CATEGORY_CO || category == UTF8PROC_CATEGORY_CN;
  if (c == 0 || c == 0xFFFD || control) return;
  is_white_space(c) ? out += ' ' : (append_utf8(out, c), out);
}

void append_ideograph_apart(std::string& out, char32_t c) {
  const auto within = [c](char32_t first, char32_t last) { return c >= first && c <= last; };
  const bool ideograph = within(0x4E00, 0x9FFF) || within(0x3400, 0x4DBF) || within(0x20000, 0x2A6DF) ||
                         within(0x2A700, 0x2B81F) || within(0x2B920, 0x2CEAF) || within(0xF900, 0xFAFF) ||
                         within(0x2F800, 0x2FA1F);
  if (ideograph) out += ' ';
  append_utf8(out, c);
  if (ideograph) out += ' ';
}

// The character rules of SentencePiece's nmt normalization.
void append_nmt(std::string& out, char32_t c) {
  const bool dropped = (c >= 1 && c <= 8) || c == 0xB || (c >= 0xE && c <= 0x1F) || c == 0x7F || c == 0x8F || c == 0x9F;
  const bool white = c == 9 || c == 0xA || c == 0xC || c == 0xD || c == 0x1680 || (c >= 0x200B && c <= 0x200F) ||
                     c == 0x2028 || c == 0x2029 || c == 0x2581 || c == 0xFEFF || c == 0xFFFD;
  if (!dropped) append_utf8(out, white ? U' ' : c);
}

std::string_view strip_white_space(std::string_view text, bool left, bool right) {
  while (left && !text.empty() && is_white_space(first_code_point(text).value))
    text.remove_prefix(first_code_point(text).length);
  while (right && !text.empty() && is_white_space(last_code_point(text).value))
    text.remove_suffix(last_code_point(text).length);
  return text;
}

}  // namespace

Normalizer Normalizer::from_json(const JsonView& view) {
  Normalizer normalizer;
  if (!view.is_null()) normalizer.add(view);
  return normalizer;
}

void Normalizer::add(const JsonView& view) {
  const std::string type = view.text("type");
  if (view.failed()) return;
  if (type == "NFC") {
    steps_.emplace_back([](NormalizedText& room) { compose_canonically(room.text, room.spare); });
  } else if (const auto form = normal_forms.find(type); form != normal_forms.end()) {
    steps_.emplace_back([options = form->second](NormalizedText& room) { to_normal_form(room, options); });
  } else if (type == "Sequence") {
    for (const JsonView& element : view.at("normalizers").elements()) add(element);
  } else if (type == "Lowercase") {
    steps_.push_back(map_characters(append_lowercase));
  } else if (type == "StripAccents") {
    steps_.push_back(map_characters(append_unless_mark));
  } else if (type == "Nmt") {
    steps_.push_back(map_characters(append_nmt));
  } else if (type == "BertNormalizer") {
    add_bert(view);
  } else if (type == "Strip") {
    steps_.emplace_back(
        [left = view.flag("strip_left", true), right = view.flag("strip_right", true)](NormalizedText& room) {
          room.spare.assign(strip_white_space(room.text, left, right));
          room.text.swap(room.spare);
        });
  } else if (type == "Prepend") {
    steps_.emplace_back([prefix = view.text("prepend")](NormalizedText& room) {
      if (!room.text.empty()) room.text.insert(0, prefix);
    });
  } else if (type == "Replace") {
    steps_.emplace_back([pattern = Pattern::from_json(view.at("pattern")), content = view.text("content")](
                            NormalizedText& room) { pattern->replace_all(room.text, content, room.spare); });
  } else if (type == "Precompiled") {
    const auto map = CharacterMap::from_json(view.at("precompiled_charsmap"));
    steps_.emplace_back([map](NormalizedText& room) {
      room.spare.clear();
      map->append_by_graphemes(room.text, room.spare);
      room.text.swap(room.spare);
    });
  } else if (type == "ByteLevel") {
    steps_.emplace_back([](NormalizedText& room) { room.text = to_byte_alphabet(room.text); });
  } else {
    view.complain_unsupported("normalizer", type);
  }
}

void Normalizer::add_bert(const JsonView& view) {
  const bool lowercase = view.flag("lowercase", true);
  if (view.flag("clean_text", true)) steps_.push_back(map_characters(append_clean));
  if (view.flag("handle_chinese_chars", true)) steps_.push_back(map_characters(append_ideograph_apart));
  if (view.flag("strip_accents", lowercase)) {
    steps_.emplace_back([](NormalizedText& room) { to_normal_form(room, UTF8PROC_STABLE | UTF8PROC_DECOMPOSE); });
    steps_.push_back(map_characters([](std::string& out, char32_t c) {
      if (utf8proc_category(static_cast<utf8proc_int32_t>(c)) != UTF8PROC_CATEGORY_MN) append_utf8(out, c);
    }));
  }
  if (lowercase) steps_.push_back(map_characters(append_lowercase));
}

std::string_view Normalizer::apply(std::string_view text, bool at_text_start, NormalizedText& room) const {
  if (steps_.empty()) return text;
  room.text.assign(text);
  room.at_text_start = at_text_start;
  for (const Step& step : steps_) step(room);
  return room.text;
}

std::string Normalizer::apply(std::string_view text) const {
  NormalizedText room;
  return std::string(apply(text, true, room));
}

}  // namespace ftl
