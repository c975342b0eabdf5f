#include "trainer/chat_template/characters.h"

#include <utf8proc.h>

#include "trainer/tokenizer/utf8.h"

namespace ftl::chat {
namespace {

utf8proc_category_t category(char32_t c) { return utf8proc_category(static_cast<utf8proc_int32_t>(c)); }

bool is_cased(char32_t c) {
  const utf8proc_category_t kind = category(c);
  return kind == UTF8PROC_CATEGORY_LU || kind == UTF8PROC_CATEGORY_LL || kind == UTF8PROC_CATEGORY_LT;
}

bool is_case_ignorable(char32_t c) {  // between the letters of a word, for the final sigma
  const utf8proc_category_t kind = category(c);
  return kind == UTF8PROC_CATEGORY_MN || kind == UTF8PROC_CATEGORY_CF || c == '\'' || c == 0x2019 || c == ':' ||
         c == '.';
}

template <class Visit>
void for_each(std::string_view text, Visit visit) {
  for (std::size_t at = 0; at < text.size();) {
    const CodePoint point = first_code_point(text.substr(at));
    visit(point.value, at, at + point.length);
    at += point.length;
  }
}

// Letters whose upper case is more than one letter (SpecialCasing.txt, the unconditional ones in Latin script).
std::string_view long_upper(char32_t c) {
  switch (c) {
    case 0xDF: return "SS";
    case 0x149: return "\u02BCN";
    case 0x1F0: return "J\u030C";
    case 0xFB00: return "FF";
    case 0xFB01: return "FI";
    case 0xFB02: return "FL";
    case 0xFB03: return "FFI";
    case 0xFB04: return "FFL";
    case 0xFB05:
    case 0xFB06: return "ST";
    default: return {};
  }
}

void append_upper(std::string& out, char32_t c) {
  if (const std::string_view more = long_upper(c); !more.empty()) {
    out += more;
  } else {
    append_utf8(out, static_cast<char32_t>(utf8proc_toupper(static_cast<utf8proc_int32_t>(c))));
  }
}

void append_title(std::string& out, char32_t c) {
  if (const std::string_view more = long_upper(c); !more.empty()) {
    out += more.front() == '\xCA' ? std::string(more) : std::string(more.substr(0, 1)) + lower(more.substr(1));
  } else {
    append_utf8(out, static_cast<char32_t>(utf8proc_totitle(static_cast<utf8proc_int32_t>(c))));
  }
}

bool ends_a_word(std::string_view text, std::size_t begin, std::size_t end) {
  bool letter_before = false;
  for (std::string_view before = text.substr(0, begin); !before.empty();) {
    const CodePoint point = last_code_point(before);
    before.remove_suffix(point.length);
    if (is_case_ignorable(point.value)) continue;
    letter_before = is_cased(point.value);
    break;
  }
  if (!letter_before) return false;
  for (std::string_view after = text.substr(end); !after.empty();) {
    const CodePoint point = first_code_point(after);
    after.remove_prefix(point.length);
    if (!is_case_ignorable(point.value)) return !is_cased(point.value);
  }
  return true;
}

void append_lower(std::string& out, char32_t c, std::string_view text, std::size_t begin, std::size_t end) {
  constexpr char32_t sigma = 0x3A3, final_sigma = 0x3C2, dotted_i = 0x130;
  if (c == sigma && ends_a_word(text, begin, end)) return append_utf8(out, final_sigma);
  if (c == dotted_i) {
    out += "i\u0307";
    return;
  }
  append_utf8(out, static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(c))));
}

bool is_all(std::string_view text, utf8proc_category_t wanted, utf8proc_category_t other) {
  bool any = false, none_of_other = true;
  for_each(text, [&](char32_t c, std::size_t, std::size_t) {
    const utf8proc_category_t kind = category(c);
    any = any || kind == wanted;
    none_of_other = none_of_other && kind != other && kind != UTF8PROC_CATEGORY_LT;
  });
  return any && none_of_other;
}

}  // namespace

bool is_space(char32_t c) { return is_white_space(c) || (c >= 0x1C && c <= 0x1F); }

bool is_printable(char32_t c) {
  if (c == ' ') return true;
  switch (category(c)) {
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CO:
    case UTF8PROC_CATEGORY_ZS:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP: return false;
    default: return true;
  }
}

bool is_letter(char32_t c) {
  const utf8proc_category_t kind = category(c);
  return is_cased(c) || kind == UTF8PROC_CATEGORY_LM || kind == UTF8PROC_CATEGORY_LO;
}

bool is_digit(char32_t c) { return category(c) == UTF8PROC_CATEGORY_ND; }

bool is_name_character(char32_t c) {
  const utf8proc_category_t kind = category(c);
  return c == '_' || is_letter(c) || is_digit(c) || kind == UTF8PROC_CATEGORY_NL || kind == UTF8PROC_CATEGORY_NO;
}

std::size_t leading_space(std::string_view text) {
  std::size_t at = 0;
  while (at < text.size()) {
    const CodePoint point = first_code_point(text.substr(at));
    if (!is_space(point.value)) break;
    at += point.length;
  }
  return at;
}

std::size_t trailing_space(std::string_view text) {
  std::size_t left = text.size();
  while (left > 0) {
    const CodePoint point = last_code_point(text.substr(0, left));
    if (!is_space(point.value)) break;
    left -= point.length;
  }
  return text.size() - left;
}

std::string upper(std::string_view text) {
  std::string out;
  for_each(text, [&](char32_t c, std::size_t, std::size_t) { append_upper(out, c); });
  return out;
}

std::string lower(std::string_view text) {
  std::string out;
  for_each(text, [&](char32_t c, std::size_t begin, std::size_t end) { append_lower(out, c, text, begin, end); });
  return out;
}

std::string capitalized(std::string_view text) {
  std::string out;
  for_each(text, [&](char32_t c, std::size_t begin, std::size_t end) {
    if (begin == 0) {
      append_title(out, c);
    } else {
      append_lower(out, c, text, begin, end);
    }
  });
  return out;
}

std::string title_case(std::string_view text) {
  std::string out;
  bool in_word = false;
  for_each(text, [&](char32_t c, std::size_t begin, std::size_t end) {
    if (in_word) {
      append_lower(out, c, text, begin, end);
    } else {
      append_title(out, c);
    }
    in_word = is_cased(c);
  });
  return out;
}

bool is_all_upper(std::string_view text) { return is_all(text, UTF8PROC_CATEGORY_LU, UTF8PROC_CATEGORY_LL); }
bool is_all_lower(std::string_view text) { return is_all(text, UTF8PROC_CATEGORY_LL, UTF8PROC_CATEGORY_LU); }

}  // namespace ftl::chat
