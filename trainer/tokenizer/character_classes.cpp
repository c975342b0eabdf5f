#include "trainer/tokenizer/character_classes.h"

#include <utf8proc.h>

#include "trainer/tokenizer/utf8.h"

namespace ftl {
namespace {

using enum CharacterClasses::Class;

unsigned classes_of(char32_t c) {
  const unsigned line = c == '\r' || c == '\n' ? unsigned{line_end} : 0u;
  const unsigned white = is_white_space(c) ? unsigned{space} | line : 0u;
  if (c >= 0x2EBF0 && c <= 0x2EE5D) return letter | not_lower | not_upper;
  switch (utf8proc_category(static_cast<utf8proc_int32_t>(c))) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LT: return letter | not_lower;
    case UTF8PROC_CATEGORY_LL: return letter | not_upper;
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO: return letter | not_lower | not_upper;
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME: return mark | not_lower | not_upper;
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO: return number;
    case UTF8PROC_CATEGORY_PC:
    case UTF8PROC_CATEGORY_PD:
    case UTF8PROC_CATEGORY_PS:
    case UTF8PROC_CATEGORY_PE:
    case UTF8PROC_CATEGORY_PI:
    case UTF8PROC_CATEGORY_PF:
    case UTF8PROC_CATEGORY_PO:
    case UTF8PROC_CATEGORY_SM:
    case UTF8PROC_CATEGORY_SC:
    case UTF8PROC_CATEGORY_SK:
    case UTF8PROC_CATEGORY_SO: return symbol | white;
    default: return white;
  }
}

}  // namespace

CharacterClasses::CharacterClasses() {
  for (char32_t c = 0; c < assigned; ++c) classes_[c] = static_cast<std::uint8_t>(classes_of(c));
}

const CharacterClasses& CharacterClasses::table() {
  static const CharacterClasses classes;
  return classes;
}

}  // namespace ftl
