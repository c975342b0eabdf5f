// A template's source as tokens, by the rules of Jinja 3.1 with trim_blocks and lstrip_blocks: a newline behind a block
// or comment and blanks before one at the start of a line do not count, `-` strips more, `+` forbids it, and one
// newline at the end of the source is dropped.
// https://jinja.palletsprojects.com/en/stable/templates/#whitespace-control
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "trainer/chat_template/template_error.h"

namespace ftl::chat {

enum class TokenKind : std::uint8_t {
  data,
  print_begin,
  print_end,
  block_begin,
  block_end,
  name,
  string,
  integer,
  real,
  sign,
  end
};

struct Token {
  TokenKind kind;
  std::string text;  // data and strings: decoded; names and signs: as written
  Place place;
  std::int64_t integer = 0;
  double real = 0;

  bool is(std::string_view sign) const { return kind == TokenKind::sign && text == sign; }
  bool is_name(std::string_view name) const { return kind == TokenKind::name && text == name; }
};

// `source` is well-formed UTF-8. Ends with a token of kind `end`. Throws TemplateError.
std::vector<Token> tokens_of(std::string_view source);

}  // namespace ftl::chat
