#include "trainer/chat_template/expression_parser.h"

#include <algorithm>
#include <array>

#include "trainer/chat_template/limits.h"

namespace ftl::chat {
ExpressionParser::Nesting::Nesting(ExpressionParser& parser) : parser_(parser) {
  if (parser.nesting_ >= deepest_expression) {
    parser.tokens_.fail("the template nests deeper than " + std::to_string(deepest_expression) + " levels");
  }
  ++parser.nesting_;
}

void ExpressionParser::refuse_unknown() const {
  if (!unknown_.empty()) throw TemplateError(unknown_.front().what, unknown_.front().place);
}

int ExpressionParser::times_read(const std::string& name) const {
  const auto found = names_read_.find(name);
  return found == names_read_.end() ? 0 : found->second;
}

ExpressionPtr ExpressionParser::expression() { return conditional(); }

ExpressionPtr ExpressionParser::conditional() {
  const Nesting nesting(*this);
  const Place place = tokens_.current().place;
  const std::size_t unknown_before = unknown_.size();
  ExpressionPtr then = logical_or();
  while (tokens_.skip_name("if")) {
    ExpressionPtr condition = logical_or();
    ExpressionPtr otherwise = tokens_.skip_name("else") ? conditional() : nullptr;
    unknown_.resize(unknown_before);  // they stand under a condition after all
    const auto parts = {then.get(), condition.get(), static_cast<const Expression*>(otherwise.get())};
    then = make(place, Conditional{std::move(then), std::move(condition), std::move(otherwise)}, parts);
  }
  return then;
}

ExpressionPtr ExpressionParser::logical_or() {
  const Place place = tokens_.current().place;
  ExpressionPtr left = logical_and();
  while (tokens_.skip_name("or")) {
    ExpressionPtr right = logical_and();
    const auto parts = {left.get(), right.get()};
    left = make(place, Logic{false, std::move(left), std::move(right)}, parts);
  }
  return left;
}

ExpressionPtr ExpressionParser::logical_and() {
  const Place place = tokens_.current().place;
  ExpressionPtr left = negation();
  while (tokens_.skip_name("and")) {
    ExpressionPtr right = negation();
    const auto parts = {left.get(), right.get()};
    left = make(place, Logic{true, std::move(left), std::move(right)}, parts);
  }
  return left;
}

ExpressionPtr ExpressionParser::negation() {
  const Nesting nesting(*this);
  const Place place = tokens_.current().place;
  if (!tokens_.skip_name("not")) return comparison();
  ExpressionPtr of = negation();
  const auto parts = {of.get()};
  return make(place, Unary{'!', std::move(of)}, parts);
}

std::optional<Comparison> ExpressionParser::comparison_sign() {
  constexpr std::array<std::pair<std::string_view, Comparison>, 6> signs = {{{"==", Comparison::eq},
                                                                             {"!=", Comparison::ne},
                                                                             {"<", Comparison::lt},
                                                                             {"<=", Comparison::le},
                                                                             {">", Comparison::gt},
                                                                             {">=", Comparison::ge}}};
  for (const auto& [sign, comparison] : signs) {
    if (tokens_.skip(sign)) return comparison;
  }
  if (tokens_.skip_name("in")) return Comparison::in;
  if (tokens_.current().is_name("not") && tokens_.after().is_name("in")) {
    tokens_.take();
    tokens_.take();
    return Comparison::not_in;
  }
  return std::nullopt;
}

ExpressionPtr ExpressionParser::comparison() {
  const Place place = tokens_.current().place;
  Compare compare{sum(), {}};
  int deepest = compare.left->depth;
  while (const auto sign = comparison_sign()) {
    compare.rest.emplace_back(*sign, sum());
    deepest = std::max(deepest, compare.rest.back().second->depth);
  }
  if (compare.rest.empty()) return std::move(compare.left);
  return make(place, std::move(compare), {}, deepest);
}

ExpressionPtr ExpressionParser::sum() {
  ExpressionPtr left = joined();
  while (tokens_.current().is("+") || tokens_.current().is("-")) {
    const Token sign = tokens_.take();
    ExpressionPtr right = joined();
    const auto parts = {left.get(), right.get()};
    const BinaryOperator op = sign.is("+") ? BinaryOperator::add : BinaryOperator::subtract;
    left = make(sign.place, Binary{op, std::move(left), std::move(right)}, parts);
  }
  return left;
}

ExpressionPtr ExpressionParser::joined() {
  const Place place = tokens_.current().place;
  Joined joined;
  joined.parts.push_back(product());
  int deepest = joined.parts.back()->depth;
  while (tokens_.skip("~")) {
    joined.parts.push_back(product());
    deepest = std::max(deepest, joined.parts.back()->depth);
  }
  if (joined.parts.size() == 1) return std::move(joined.parts.front());
  return make(place, std::move(joined), {}, deepest);
}

ExpressionPtr ExpressionParser::product() {
  constexpr std::array<std::pair<std::string_view, BinaryOperator>, 4> signs = {{{"*", BinaryOperator::multiply},
                                                                                 {"/", BinaryOperator::divide},
                                                                                 {"//", BinaryOperator::floor_divide},
                                                                                 {"%", BinaryOperator::modulo}}};
  ExpressionPtr left = power();
  for (;;) {
    const auto sign = std::ranges::find_if(signs, [&](const auto& known) { return tokens_.current().is(known.first); });
    if (sign == signs.end()) return left;
    const Place place = tokens_.take().place;
    ExpressionPtr right = power();
    const auto parts = {left.get(), right.get()};
    left = make(place, Binary{sign->second, std::move(left), std::move(right)}, parts);
  }
}

ExpressionPtr ExpressionParser::power() {
  ExpressionPtr left = unary();
  while (tokens_.current().is("**")) {
    const Place place = tokens_.take().place;
    ExpressionPtr right = unary();
    const auto parts = {left.get(), right.get()};
    left = make(place, Binary{BinaryOperator::power, std::move(left), std::move(right)}, parts);
  }
  return left;
}

ExpressionPtr ExpressionParser::unary(bool with_filters) {
  const Nesting nesting(*this);
  ExpressionPtr of;
  if (tokens_.current().is("-") || tokens_.current().is("+")) {
    const Token sign = tokens_.take();
    ExpressionPtr operand = unary(false);
    const auto parts = {operand.get()};
    of = make(sign.place, Unary{sign.text.front(), std::move(operand)}, parts);
  } else {
    of = primary();
  }
  of = postfix(std::move(of));
  return with_filters ? filters_and_tests(std::move(of)) : std::move(of);
}

ExpressionPtr ExpressionParser::primary() {
  const Token token = tokens_.current();
  if (token.is("(")) return parenthesized();
  if (token.is("[")) return list();
  if (token.is("{")) return dict();
  tokens_.take();
  switch (token.kind) {
    case TokenKind::integer: return make(token.place, Literal{token.integer}, {});
    case TokenKind::real: return make(token.place, Literal{token.real}, {});
    case TokenKind::string: {
      std::string text = token.text;
      while (tokens_.current().kind == TokenKind::string) text += tokens_.take().text;
      return make(token.place, Literal{Value(std::move(text))}, {});
    }
    case TokenKind::name: break;
    default: throw TemplateError("expected an expression, found " + TokenStream::shown(token), token.place);
  }
  if (token.text == "true" || token.text == "True") return make(token.place, Literal{true}, {});
  if (token.text == "false" || token.text == "False") return make(token.place, Literal{false}, {});
  if (token.text == "none" || token.text == "None") return make(token.place, Literal{None{}}, {});
  ++names_read_[token.text];
  return make(token.place, Name{token.text}, {});
}

bool ExpressionParser::ends_tuple(std::string_view ends_at) const {
  const Token& token = tokens_.current();
  return token.kind == TokenKind::print_end || token.kind == TokenKind::block_end || token.is(")") ||
         (!ends_at.empty() && token.is_name(ends_at));
}

ExpressionPtr ExpressionParser::tuple(bool with_conditional, std::string_view ends_at) {
  const Place place = tokens_.current().place;
  ListOf tuple{{}, true};
  int deepest = 0;
  bool has_comma = false;
  while (!ends_tuple(ends_at)) {
    tuple.items.push_back(with_conditional ? expression() : logical_or());
    deepest = std::max(deepest, tuple.items.back()->depth);
    if (!tokens_.skip(",")) break;
    has_comma = true;
  }
  if (has_comma) return make(place, std::move(tuple), {}, deepest);
  if (tuple.items.empty()) tokens_.fail("expected an expression, found " + TokenStream::shown(tokens_.current()));
  return std::move(tuple.items.front());
}

ExpressionPtr ExpressionParser::parenthesized() {
  const Nesting nesting(*this);
  const Place place = tokens_.expect("(").place;
  ExpressionPtr inner = tokens_.current().is(")") ? make(place, ListOf{{}, true}, {}) : tuple();
  tokens_.expect(")");
  return inner;
}

ExpressionPtr ExpressionParser::list() {
  const Nesting nesting(*this);
  const Place place = tokens_.expect("[").place;
  ListOf list{{}, false};
  int deepest = 0;
  while (!tokens_.current().is("]")) {
    list.items.push_back(expression());
    deepest = std::max(deepest, list.items.back()->depth);
    if (!tokens_.current().is("]")) tokens_.expect(",");
  }
  tokens_.expect("]");
  return make(place, std::move(list), {}, deepest);
}

ExpressionPtr ExpressionParser::dict() {
  const Nesting nesting(*this);
  const Place place = tokens_.expect("{").place;
  DictOf dict;
  int deepest = 0;
  while (!tokens_.current().is("}")) {
    ExpressionPtr key = expression();
    tokens_.expect(":");
    dict.entries.emplace_back(std::move(key), expression());
    deepest = std::max({deepest, dict.entries.back().first->depth, dict.entries.back().second->depth});
    if (!tokens_.current().is("}")) tokens_.expect(",");
  }
  tokens_.expect("}");
  return make(place, std::move(dict), {}, deepest);
}

ExpressionPtr ExpressionParser::postfix(ExpressionPtr of) {
  for (;;) {
    if (tokens_.current().is(".")) {
      of = attribute(std::move(of));
    } else if (tokens_.current().is("[")) {
      of = subscript(std::move(of));
    } else if (tokens_.current().is("(")) {
      of = call(std::move(of));
    } else {
      return of;
    }
  }
}

ExpressionPtr ExpressionParser::attribute(ExpressionPtr of) {
  const Place place = tokens_.expect(".").place;
  const Token name = tokens_.take();
  const auto parts = {of.get()};
  if (name.kind == TokenKind::name) return make(place, Attribute{std::move(of), name.text}, parts);
  if (name.kind != TokenKind::integer) throw TemplateError("expected a name or a number behind `.`", name.place);
  ExpressionPtr key = make(name.place, Literal{name.integer}, {});
  return make(place, Subscript{std::move(of), std::move(key)}, parts);
}

ExpressionPtr ExpressionParser::subscript(ExpressionPtr of) {
  const Place place = tokens_.expect("[").place;
  if (tokens_.current().is("]")) tokens_.fail("expected a subscript, found `]`");
  ExpressionPtr key = tokens_.current().is(":") ? nullptr : expression();
  if (tokens_.current().is(":")) {
    of = slice(place, std::move(of), std::move(key));
  } else {
    if (tokens_.current().is(",")) tokens_.fail("subscripts of several values are not in this version");
    const auto parts = {of.get(), key.get()};
    of = make(place, Subscript{std::move(of), std::move(key)}, parts);
  }
  tokens_.expect("]");
  return of;
}

ExpressionPtr ExpressionParser::slice(Place place, ExpressionPtr of, ExpressionPtr start) {
  Slice slice{std::move(of), std::move(start), nullptr, nullptr};
  tokens_.expect(":");
  if (!tokens_.current().is(":") && !tokens_.current().is("]")) slice.stop = expression();
  if (tokens_.skip(":") && !tokens_.current().is("]")) slice.step = expression();
  const auto parts = {slice.of.get(), slice.start.get(), slice.stop.get(), slice.step.get()};
  return make(place, std::move(slice), parts);
}

}  // namespace ftl::chat
