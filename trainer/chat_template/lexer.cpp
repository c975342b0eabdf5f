#include "trainer/chat_template/lexer.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdlib>

#include "trainer/chat_template/characters.h"
#include "trainer/chat_template/string_literal.h"
#include "trainer/tokenizer/utf8.h"

namespace ftl::chat {
namespace {

// Longer signs first.
constexpr std::array<std::string_view, 26> signs = {"//", "**", "==", "!=", ">=", "<=", "+", "-", "/",
                                                    "*",  "%",  "~",  "[",  "]",  "(",  ")", "{", "}",
                                                    ">",  "<",  "=",  ".",  ":",  "|",  ",", ";"};

std::string with_plain_newlines(std::string_view source) {
  std::string out;
  out.reserve(source.size());
  for (std::size_t i = 0; i < source.size(); ++i) {
    if (source[i] == '\r' && i + 1 < source.size() && source[i + 1] == '\n') continue;
    out += source[i] == '\r' ? '\n' : source[i];
  }
  return out;
}

bool is_ascii_digit(char c) { return c >= '0' && c <= '9'; }

class Lexer {
 public:
  explicit Lexer(std::string_view source) : source_(with_plain_newlines(source)) {
    if (source_.ends_with('\n')) source_.pop_back();
  }

  std::vector<Token> run() {
    while (at_ < source_.size()) read_data_and_opening();
    push(TokenKind::end, "");
    return std::move(tokens_);
  }

 private:
  Place place_at(std::size_t at) {
    for (; counted_ < at; ++counted_) {
      if (source_[counted_] != '\n') continue;
      ++line_;
      line_begin_ = counted_ + 1;
    }
    return {line_, static_cast<std::uint32_t>(at - line_begin_ + 1)};
  }
  [[noreturn]] void fail(std::string text) { throw TemplateError(std::move(text), place_at(at_)); }
  Token& push(TokenKind kind, std::string text) {
    return tokens_.emplace_back(Token{kind, std::move(text), place_at(at_)});
  }
  std::string_view rest() const { return std::string_view(source_).substr(at_); }
  bool ahead(std::string_view text) const { return rest().starts_with(text); }

  void read_data_and_opening();
  void push_data(std::string_view text, char strip, bool is_print);
  void read_comment();
  bool read_raw(std::size_t open, std::string_view text);
  void read_tag(TokenKind closing);
  bool read_closing(TokenKind closing);
  void close(std::size_t length, bool strips, bool takes_newline);
  void read_expression_token();
  bool read_number();
  void read_string();
  void read_sign();

  std::string source_;
  std::size_t at_ = 0;
  std::size_t counted_ = 0, line_begin_ = 0;  // of place_at
  std::uint32_t line_ = 1;
  bool line_starting_ = true;  // what was read last ended with a newline
  std::vector<char> open_;     // brackets of the tag that is read
  std::vector<Token> tokens_;
};

std::size_t next_opening(std::string_view source, std::size_t from) {
  for (std::size_t at = source.find('{', from); at != std::string_view::npos; at = source.find('{', at + 1)) {
    if (at + 1 < source.size() && (source[at + 1] == '{' || source[at + 1] == '%' || source[at + 1] == '#')) return at;
  }
  return std::string_view::npos;
}

void Lexer::read_data_and_opening() {
  const std::size_t open = next_opening(source_, at_);
  if (open == std::string::npos) {
    push(TokenKind::data, std::string(rest()));
    at_ = source_.size();
    return;
  }
  const std::string_view text = std::string_view(source_).substr(at_, open - at_);
  const char type = source_[open + 1];
  if (type == '%' && read_raw(open, text)) return;
  const char after = open + 2 < source_.size() ? source_[open + 2] : '\0';
  const char strip = after == '-' || after == '+' ? after : '\0';
  push_data(text, strip, type == '{');
  at_ = open;
  if (type != '#') push(type == '{' ? TokenKind::print_begin : TokenKind::block_begin, "");
  at_ = open + (strip ? 3 : 2);
  if (type == '#') return read_comment();
  read_tag(type == '{' ? TokenKind::print_end : TokenKind::block_end);
}

// Text before an opening: stripped as its sign or lstrip_blocks say.
void Lexer::push_data(std::string_view text, char strip, bool is_print) {
  std::size_t keep = text.size();
  if (strip == '-') {
    keep -= trailing_space(text);
  } else if (strip != '+' && !is_print) {
    const std::size_t newline = text.rfind('\n');
    const std::size_t line = newline == std::string_view::npos ? 0 : newline + 1;
    const bool only_blanks = trailing_space(text.substr(line)) == text.size() - line;
    if ((line > 0 || line_starting_) && only_blanks) keep = line;
  }
  if (keep > 0) push(TokenKind::data, std::string(text.substr(0, keep)));
}

// Behind a closing of `length` bytes.
void Lexer::close(std::size_t length, bool strips, bool takes_newline) {
  at_ += length;
  std::size_t more = 0;
  if (strips) more = leading_space(rest());
  if (takes_newline && ahead("\n")) more = 1;
  at_ += more;
  line_starting_ = more > 0 && source_[at_ - 1] == '\n';
}

void Lexer::read_comment() {
  const std::size_t end = source_.find("#}", at_);
  if (end == std::string::npos) fail("the comment has no end `#}`");
  const char strip = end > at_ ? source_[end - 1] : '\0';
  at_ = end;
  close(2, strip == '-', strip != '-' && strip != '+');
}

struct RawTag {
  std::size_t begin, end;
  char opening_sign, closing_sign;
};

// `{% name %}` with any signs at `at`; end is 0 when something else is there.
RawTag raw_tag(std::string_view source, std::size_t at, std::string_view name) {
  RawTag tag{at, 0, '\0', '\0'};
  std::size_t i = at + 2;
  if (i < source.size() && (source[i] == '-' || source[i] == '+')) tag.opening_sign = source[i++];
  i += leading_space(source.substr(std::min(i, source.size())));
  if (source.substr(std::min(i, source.size()), name.size()) != name) return tag;
  i += name.size();
  i += leading_space(source.substr(i));
  if (i < source.size() && (source[i] == '-' || source[i] == '+')) tag.closing_sign = source[i++];
  if (source.substr(std::min(i, source.size()), 2) == "%}") tag.end = i + 2;
  return tag;
}

bool Lexer::read_raw(std::size_t open, std::string_view text) {
  const RawTag begin = raw_tag(source_, open, "raw");
  if (begin.end == 0 || begin.closing_sign == '+') return false;
  push_data(text, begin.opening_sign, false);
  at_ = begin.end;
  close(0, begin.closing_sign == '-', false);
  for (std::size_t i = source_.find("{%", at_); i != std::string::npos; i = source_.find("{%", i + 1)) {
    const RawTag end = raw_tag(source_, i, "endraw");
    if (end.end == 0) continue;
    push_data(std::string_view(source_).substr(at_, i - at_), end.opening_sign, false);
    at_ = end.end;
    close(0, end.closing_sign == '-', end.closing_sign == '\0');
    return true;
  }
  fail("the raw block has no end `{% endraw %}`");
}

void Lexer::read_tag(TokenKind closing) {
  open_.clear();
  while (at_ < source_.size()) {
    if (open_.empty() && read_closing(closing)) return;
    if (const std::size_t space = leading_space(rest()); space > 0) {
      at_ += space;
    } else {
      read_expression_token();
    }
  }
  fail(closing == TokenKind::print_end ? "the tag has no end `}}`" : "the tag has no end `%}`");
}

bool Lexer::read_closing(TokenKind closing) {
  const bool is_print = closing == TokenKind::print_end;
  const std::string_view mark = is_print ? "}}" : "%}";
  const bool has_sign = ahead("-") || (!is_print && ahead("+"));
  if (rest().substr(has_sign ? 1 : 0, 2) != mark) return false;
  const char sign = has_sign ? source_[at_] : '\0';
  push(closing, "");
  close(has_sign ? 3 : 2, sign == '-', !is_print && sign == '\0');
  return true;
}

void Lexer::read_expression_token() {
  const char c = source_[at_];
  if (is_ascii_digit(c)) {
    if (read_number()) return;
  }
  if (c == '"' || c == '\'') return read_string();
  std::size_t end = at_;
  while (end < source_.size()) {
    const CodePoint point = first_code_point(std::string_view(source_).substr(end));
    if (!is_name_character(point.value)) break;
    end += point.length;
  }
  if (end == at_) return read_sign();
  push(TokenKind::name, source_.substr(at_, end - at_));
  at_ = end;
}

// Digits with single underscores between them, from `at` on.
std::size_t digits_end(std::string_view text, std::size_t at) {
  while (at < text.size() && (is_ascii_digit(text[at]) || (text[at] == '_' && at > 0 && is_ascii_digit(text[at - 1]) &&
                                                           at + 1 < text.size() && is_ascii_digit(text[at + 1])))) {
    ++at;
  }
  return at;
}

// Where a fraction and an exponent end; `end` of the digits itself when there is neither.
std::size_t real_end(std::string_view text, std::size_t end) {
  if (end + 1 < text.size() && text[end] == '.' && is_ascii_digit(text[end + 1])) end = digits_end(text, end + 1);
  if (end < text.size() && (text[end] == 'e' || text[end] == 'E')) {
    std::size_t exponent = end + 1;
    if (exponent < text.size() && (text[exponent] == '+' || text[exponent] == '-')) ++exponent;
    if (const std::size_t stop = digits_end(text, exponent); stop > exponent) end = stop;
  }
  return end;
}

int base_of(std::string_view text) {
  if (text.size() < 3 || text[0] != '0') return 10;
  switch (text[1]) {
    case 'x':
    case 'X': return 16;
    case 'o':
    case 'O': return 8;
    case 'b':
    case 'B': return 2;
    default: return 10;
  }
}

bool Lexer::read_number() {
  const std::string_view text = rest();
  const int base = base_of(text);
  std::size_t end = base == 10 ? digits_end(text, 0) : 2;
  const std::size_t fraction = base == 10 ? real_end(text, end) : end;
  const bool behind_dot = at_ > 0 && source_[at_ - 1] == '.';  // `x.1.2` are two subscripts
  const bool is_real = fraction > end && !behind_dot;
  if (is_real) end = fraction;
  if (base != 10) {
    while (end < text.size() && (text[end] == '_' || std::isxdigit(static_cast<unsigned char>(text[end])))) ++end;
  }
  if (!is_real && base == 10 && text[0] == '0') {  // `007` is 00 and 7
    end = 1;
    while (end < text.size() && text[end] == '0') ++end;
  }
  std::string plain(text.substr(base == 10 ? 0 : 2, end - (base == 10 ? 0 : 2)));
  std::erase(plain, '_');
  Token token{is_real ? TokenKind::real : TokenKind::integer, std::string(text.substr(0, end)), place_at(at_)};
  if (is_real) {
    token.real = std::strtod(plain.c_str(), nullptr);
  } else {
    const auto [stop, error] = std::from_chars(plain.data(), plain.data() + plain.size(), token.integer, base);
    if (error != std::errc() || stop != plain.data() + plain.size()) {
      fail("the number " + token.text.substr(0, 40) + " does not fit 64 bits or is malformed");
    }
  }
  tokens_.push_back(std::move(token));
  at_ += end;
  return true;
}

void Lexer::read_string() {
  const char quote = source_[at_];
  std::size_t end = at_ + 1;
  while (end < source_.size() && source_[end] != quote) end += source_[end] == '\\' ? 2 : 1;
  if (end >= source_.size()) fail("the string has no end");
  try {
    push(TokenKind::string, string_literal(std::string_view(source_).substr(at_ + 1, end - at_ - 1)));
  } catch (const TemplateError& error) {
    fail(error.what());
  }
  at_ = end + 1;
}

void Lexer::read_sign() {
  const auto sign = std::ranges::find_if(signs, [&](std::string_view candidate) { return ahead(candidate); });
  if (sign == signs.end()) {
    std::string shown;
    append_utf8(shown, first_code_point(rest()).value);
    fail("unexpected character `" + shown + "`");
  }
  const char c = sign->size() == 1 ? sign->front() : '\0';
  if (c == '(' || c == '[' || c == '{') open_.push_back(c == '(' ? ')' : c == '[' ? ']' : '}');
  if (c == ')' || c == ']' || c == '}') {
    if (open_.empty()) fail(std::string("unexpected `") + c + "`");
    if (open_.back() != c) fail(std::string("unexpected `") + c + "`, expected `" + open_.back() + "`");
    open_.pop_back();
  }
  push(TokenKind::sign, std::string(*sign));
  at_ += sign->size();
}

}  // namespace

std::vector<Token> tokens_of(std::string_view source) { return Lexer(source).run(); }

}  // namespace ftl::chat
