// The second half of ExpressionParser: calls, filters, tests, and what values are given to.
#include <algorithm>
#include <array>

#include "trainer/chat_template/expression_parser.h"
#include "trainer/chat_template/filters.h"
#include "trainer/chat_template/tests.h"

namespace ftl::chat {
namespace {

int deepest_of(const CallArguments& arguments) {
  int deepest = 0;
  auto count = [&](const ExpressionPtr& part) {
    if (part) deepest = std::max(deepest, part->depth);
  };
  for (const ExpressionPtr& value : arguments.positional) count(value);
  for (const auto& named : arguments.named) count(named.second);
  count(arguments.spread);
  count(arguments.spread_named);
  return deepest;
}

// Whether `token` can begin the argument of a test written without parentheses, as in `x is divisibleby 3`.
bool begins_argument(const Token& token) {
  if (token.is_name("else") || token.is_name("or") || token.is_name("and")) return false;
  return token.kind == TokenKind::name || token.kind == TokenKind::string || token.kind == TokenKind::integer ||
         token.kind == TokenKind::real || token.is("[") || token.is("{");
}

}  // namespace

ExpressionPtr ExpressionParser::call(ExpressionPtr of) {
  const Place place = tokens_.current().place;
  CallArguments arguments = call_arguments();
  const auto parts = {of.get()};
  const int deepest = deepest_of(arguments);
  return make(place, Call{std::move(of), std::move(arguments)}, parts, deepest);
}

CallArguments ExpressionParser::call_arguments() {
  const Nesting nesting(*this);
  CallArguments arguments;
  tokens_.expect("(");
  while (!tokens_.current().is(")")) {
    call_argument(arguments);
    if (!tokens_.current().is(")")) tokens_.expect(",");
  }
  tokens_.expect(")");
  return arguments;
}

void ExpressionParser::call_argument(CallArguments& arguments) {
  auto must_hold = [&](bool holds) {
    if (!holds) tokens_.fail("the arguments of the call are in an order that is not allowed");
  };
  if (tokens_.skip("*")) {
    must_hold(!arguments.spread && !arguments.spread_named);
    arguments.spread = expression();
  } else if (tokens_.skip("**")) {
    must_hold(!arguments.spread_named);
    arguments.spread_named = expression();
  } else if (tokens_.current().kind == TokenKind::name && tokens_.after().is("=")) {
    must_hold(!arguments.spread_named);
    const Token name = tokens_.take();
    const auto is_same = [&](const auto& named) { return named.first == name.text; };
    if (std::ranges::any_of(arguments.named, is_same)) {
      throw TemplateError("the argument `" + name.text + "` is given twice", name.place);
    }
    tokens_.expect("=");
    arguments.named.emplace_back(name.text, expression());
  } else {
    must_hold(!arguments.spread && !arguments.spread_named && arguments.named.empty());
    arguments.positional.push_back(expression());
  }
}

std::string ExpressionParser::dotted_name() {
  std::string name = tokens_.expect(TokenKind::name, "a name").text;
  while (tokens_.skip(".")) name += "." + tokens_.expect(TokenKind::name, "a name").text;
  return name;
}

ExpressionPtr ExpressionParser::filters_and_tests(ExpressionPtr of) {
  for (;;) {
    if (tokens_.current().is("|")) {
      tokens_.take();
      of = filter(std::move(of));
    } else if (tokens_.current().is_name("is")) {
      of = test(std::move(of));
    } else if (tokens_.current().is("(")) {
      of = call(std::move(of));
    } else {
      return of;
    }
  }
}

ExpressionPtr ExpressionParser::filter(ExpressionPtr of) {
  const Place place = tokens_.current().place;
  FilterUse use{std::move(of), dotted_name(), nullptr, {}};
  use.filter = find_filter(use.name);
  if (use.filter == nullptr && !under_condition) unknown_.push_back({"there is no filter `" + use.name + "`", place});
  if (tokens_.current().is("(")) use.arguments = call_arguments();
  const auto parts = {use.of.get()};
  const int deepest = deepest_of(use.arguments);
  return make(place, std::move(use), parts, deepest);
}

ExpressionPtr ExpressionParser::filters_of_a_body(bool starts) {
  ExpressionPtr of = make(tokens_.current().place, Captured{}, {});
  if (!starts && !tokens_.current().is("|")) return of;
  if (!starts) tokens_.take();
  do of = filter(std::move(of));
  while (tokens_.skip("|"));
  return of;
}

ExpressionPtr ExpressionParser::test(ExpressionPtr of) {
  const Place place = tokens_.take().place;
  TestUse use{std::move(of), {}, nullptr, {}, tokens_.skip_name("not")};
  use.name = dotted_name();
  use.test = find_test(use.name);
  if (use.test == nullptr && !under_condition) unknown_.push_back({"there is no test `" + use.name + "`", place});
  if (tokens_.current().is("(")) {
    use.arguments = call_arguments();
  } else if (begins_argument(tokens_.current())) {
    if (tokens_.current().is_name("is")) tokens_.fail("tests cannot be chained with `is`");
    use.arguments.positional.push_back(postfix(primary()));
  }
  const auto parts = {use.of.get()};
  const int deepest = deepest_of(use.arguments);
  return make(place, std::move(use), parts, deepest);
}

Target ExpressionParser::single_name() {
  constexpr std::array<std::string_view, 6> constants = {"true", "false", "none", "True", "False", "None"};
  const Token token = tokens_.expect(TokenKind::name, "a name");
  if (std::ranges::find(constants, token.text) != constants.end()) {
    throw TemplateError("`" + token.text + "` cannot be given a value", token.place);
  }
  return Target{token.place, token.text, {}, {}};
}

Target ExpressionParser::target(bool with_attributes, std::string_view ends_at) {
  const Nesting nesting(*this);
  Target tuple{tokens_.current().place, {}, {}, {}, true};
  bool has_comma = false;
  while (!ends_tuple(ends_at) && !tokens_.current().is("=")) {
    if (tokens_.skip("(")) {
      tuple.parts.push_back(target(with_attributes));
      tokens_.expect(")");
    } else {
      tuple.parts.push_back(single_name());
      if (with_attributes && tokens_.skip(".")) {
        tuple.parts.back().attribute = tokens_.expect(TokenKind::name, "a name").text;
      }
    }
    if (!tokens_.skip(",")) break;
    has_comma = true;
  }
  if (tuple.parts.empty()) tokens_.fail("expected a name, found " + TokenStream::shown(tokens_.current()));
  if (has_comma) return tuple;
  Target only = std::move(tuple.parts.front());
  return only;
}

}  // namespace ftl::chat
