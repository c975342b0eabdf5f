#include "trainer/chat_template/string_literal.h"

#include <algorithm>
#include <charconv>

#include "trainer/chat_template/template_error.h"
#include "trainer/tokenizer/utf8.h"

namespace ftl::chat {
namespace {

char simple_escape(char c) {
  switch (c) {
    case 'n': return '\n';
    case 't': return '\t';
    case 'r': return '\r';
    case 'a': return '\a';
    case 'b': return '\b';
    case 'f': return '\f';
    case 'v': return '\v';
    case '\\':
    case '\'':
    case '"': return c;
    default: return '\0';
  }
}

std::size_t hex_digits(char c) { return c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0; }

void append_point(std::string& out, std::uint32_t value) {
  if (value > 0x10FFFF || (value >= 0xD800 && value <= 0xDFFF)) {
    throw TemplateError("the string escapes a code point that is no character");
  }
  append_utf8(out, value);
}

// Appends what `\x41`, `\u0041` or `\U00000041` stands for; returns the bytes behind the letter.
std::size_t append_hex(std::string& out, std::string_view digits, std::size_t count) {
  std::uint32_t value = 0;
  const std::string_view own = digits.substr(0, count);
  const auto [stop, error] = std::from_chars(own.data(), own.data() + own.size(), value, 16);
  if (own.size() < count || error != std::errc() || stop != own.data() + count) {
    throw TemplateError("the string has a truncated escape: " + std::to_string(count) + " hexadecimal digits expected");
  }
  append_point(out, value);
  return count;
}

std::size_t append_octal(std::string& out, std::string_view digits) {
  std::size_t count = 0;
  std::uint32_t value = 0;
  while (count < 3 && count < digits.size() && digits[count] >= '0' && digits[count] <= '7') {
    value = value * 8 + static_cast<std::uint32_t>(digits[count++] - '0');
  }
  append_point(out, value);
  return count;
}

// The codec sees such a character as an escape of its own, which a backslash before it takes apart.
void append_behind_backslash(std::string& out, char32_t c) {
  constexpr const char* hex = "0123456789abcdef";
  const int digits = c < 0x100 ? 2 : c < 0x10000 ? 4 : 8;
  out += '\\';
  out += digits == 2 ? 'x' : digits == 4 ? 'u' : 'U';
  for (int shift = 4 * (digits - 1); shift >= 0; shift -= 4) out += hex[(c >> shift) & 0xF];
}

}  // namespace

std::string string_literal(std::string_view written) {
  std::string out;
  for (std::size_t i = 0; i < written.size();) {
    if (written[i] != '\\') {
      out += written[i++];
      continue;
    }
    if (++i == written.size()) throw TemplateError("the string ends with a backslash");
    const char c = written[i];
    if (const char plain = simple_escape(c); plain != '\0') {
      out += plain;
      ++i;
    } else if (const std::size_t digits = hex_digits(c); digits > 0) {
      i += 1 + append_hex(out, written.substr(i + 1), digits);
    } else if (c >= '0' && c <= '7') {
      i += append_octal(out, written.substr(i));
    } else if (c == '\n') {
      ++i;
    } else if (c == 'N') {
      throw TemplateError("escapes by character name (\\N{...}) are not in this version");
    } else {
      const CodePoint point = first_code_point(written.substr(i));
      if (point.length > 1) {
        append_behind_backslash(out, point.value);
      } else {
        (out += std::string_view("\\")) += c;
      }
      i += point.length;
    }
  }
  return out;
}

}  // namespace ftl::chat
