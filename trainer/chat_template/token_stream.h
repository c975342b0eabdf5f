// The parser's place in the tokens of a template.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "trainer/chat_template/lexer.h"

namespace ftl::chat {

class TokenStream {
 public:
  explicit TokenStream(std::vector<Token> tokens) : tokens_(std::move(tokens)) {}

  const Token& current() const { return tokens_[at_]; }
  const Token& after() const { return tokens_[at_ + 1 < tokens_.size() ? at_ + 1 : at_]; }
  Token take() {
    Token token = tokens_[at_];
    if (at_ + 1 < tokens_.size()) ++at_;
    return token;
  }
  bool skip(std::string_view sign) { return current().is(sign) && (take(), true); }
  bool skip_name(std::string_view name) { return current().is_name(name) && (take(), true); }
  Token expect(std::string_view sign) {
    if (!current().is(sign)) fail("expected `" + std::string(sign) + "`, found " + shown(current()));
    return take();
  }
  Token expect(TokenKind kind, std::string_view called) {
    if (current().kind != kind) fail("expected " + std::string(called) + ", found " + shown(current()));
    return take();
  }
  [[noreturn]] void fail(std::string text) const { throw TemplateError(std::move(text), current().place); }

  static std::string shown(const Token& token) {
    switch (token.kind) {
      case TokenKind::data: return "text";
      case TokenKind::print_begin: return "`{{`";
      case TokenKind::print_end: return "`}}`";
      case TokenKind::block_begin: return "`{%`";
      case TokenKind::block_end: return "`%}`";
      case TokenKind::string: return "a string";
      case TokenKind::end: return "the end of the template";
      default: return "`" + token.text.substr(0, 40) + "`";
    }
  }

 private:
  std::vector<Token> tokens_;
  std::size_t at_ = 0;
};

}  // namespace ftl::chat
