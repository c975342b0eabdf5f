#include "trainer/chat_template/parser.h"

#include <algorithm>
#include <initializer_list>

#include "trainer/chat_template/expression_parser.h"

namespace ftl::chat {
namespace {

using Ends = std::initializer_list<std::string_view>;  // names of the tags that end a body

class Parser {
 public:
  explicit Parser(TokenStream tokens) : tokens_(std::move(tokens)), expressions_(tokens_) {}

  Body run() {
    Body all = body({});
    expressions_.refuse_unknown();
    return all;
  }

 private:
  Body body(Ends ends);           // up to the ending tag's name, which is not taken
  Body rest_of_block(Ends ends);  // behind the head of a tag: its `%}` and a body
  Body last_body(std::string_view end);
  Statement statement();
  Statement if_statement(Place place);
  Statement for_statement(Place place);
  Statement set_statement(Place place);
  Statement macro_statement(Place place);
  Statement call_statement(Place place);
  Statement filter_statement(Place place);
  Statement with_statement(Place place);
  Statement loop_control(Place place, const std::string& tag);
  Statement generation_statement(Place place);
  void parameters(Signature& signature);
  void macro_body(Signature& signature, std::string_view end);

  TokenStream tokens_;
  ExpressionParser expressions_;
  int loops_ = 0;  // around the statement, within the same macro
};

// A value for the time of a scope.
template <class T>
class During {
 public:
  During(T& place, T value) : place_(place), before_(std::exchange(place, value)) {}
  ~During() { place_ = before_; }
  During(const During&) = delete;
  During& operator=(const During&) = delete;

 private:
  T& place_;
  T before_;
};

Body Parser::body(Ends ends) {
  const ExpressionParser::Nesting nesting(expressions_);
  Body found;
  for (;;) {
    const Token token = tokens_.take();
    if (token.kind == TokenKind::data) {
      found.push_back({token.place, Data{token.text}});
    } else if (token.kind == TokenKind::print_begin) {
      found.push_back({token.place, Print{expressions_.tuple()}});
      tokens_.expect(TokenKind::print_end, "`}}`");
    } else if (token.kind == TokenKind::block_begin) {
      const auto ends_here = [&](std::string_view end) { return tokens_.current().is_name(end); };
      if (std::ranges::any_of(ends, ends_here)) return found;
      found.push_back(statement());
      tokens_.expect(TokenKind::block_end, "`%}`");
    } else {
      if (ends.size() > 0) tokens_.fail("the template ends where `" + std::string(*ends.begin()) + "` is expected");
      return found;
    }
  }
}

Body Parser::rest_of_block(Ends ends) {
  tokens_.skip(":");
  tokens_.expect(TokenKind::block_end, "`%}`");
  return body(ends);
}

Body Parser::last_body(std::string_view end) {
  Body found = rest_of_block({end});
  tokens_.take();
  return found;
}

Statement Parser::statement() {
  const Token tag = tokens_.expect(TokenKind::name, "a tag");
  if (tag.text == "if") return if_statement(tag.place);
  if (tag.text == "for") return for_statement(tag.place);
  if (tag.text == "set") return set_statement(tag.place);
  if (tag.text == "macro") return macro_statement(tag.place);
  if (tag.text == "call") return call_statement(tag.place);
  if (tag.text == "filter") return filter_statement(tag.place);
  if (tag.text == "with") return with_statement(tag.place);
  if (tag.text == "generation") return generation_statement(tag.place);
  if (tag.text == "break" || tag.text == "continue") return loop_control(tag.place, tag.text);
  throw TemplateError(
      "the tag `" + tag.text.substr(0, 40) + "` does not exist, is not in this version, or has no place here",
      tag.place);
}

Statement Parser::if_statement(Place place) {
  const During<bool> conditional(expressions_.under_condition, true);
  If all;
  for (bool more = true; more;) {
    ExpressionPtr condition = expressions_.tuple(false);
    all.branches.emplace_back(std::move(condition), rest_of_block({"elif", "else", "endif"}));
    const Token tag = tokens_.take();
    more = tag.is_name("elif");
    if (tag.is_name("else")) all.otherwise = last_body("endif");
  }
  return {place, std::move(all)};
}

Statement Parser::for_statement(Place place) {
  For loop{expressions_.target(false, "in"), nullptr, nullptr, false, {}, {}};
  if (!tokens_.skip_name("in")) tokens_.fail("expected `in`, found " + TokenStream::shown(tokens_.current()));
  loop.over = expressions_.tuple(false, "recursive");
  if (tokens_.skip_name("if")) loop.condition = expressions_.expression();
  loop.recursive = tokens_.skip_name("recursive");
  const During<bool> unconditional(expressions_.under_condition, false);
  {
    const During<int> inside(loops_, loops_ + 1);
    loop.body = rest_of_block({"endfor", "else"});
  }
  if (tokens_.take().is_name("else")) loop.otherwise = last_body("endfor");
  return {place, std::move(loop)};
}

Statement Parser::set_statement(Place place) {
  Target target = expressions_.target(true);
  if (tokens_.skip("=")) return {place, Set{std::move(target), expressions_.tuple()}};
  ExpressionPtr filters = expressions_.filters_of_a_body(false);
  Body body = last_body("endset");
  return {place, SetBlock{std::move(target), std::move(filters), std::move(body)}};
}

void Parser::parameters(Signature& signature) {
  tokens_.expect("(");
  while (!tokens_.current().is(")")) {
    if (!signature.parameters.empty()) tokens_.expect(",");
    Parameter parameter{expressions_.single_name().name, nullptr};
    if (tokens_.skip("=")) {
      parameter.fallback = expressions_.expression();
    } else if (!signature.parameters.empty() && signature.parameters.back().fallback) {
      tokens_.fail("a parameter without a default follows one that has one");
    }
    const auto is_same = [&](const Parameter& other) { return other.name == parameter.name; };
    if (std::ranges::any_of(signature.parameters, is_same)) {
      tokens_.fail("the parameter `" + parameter.name + "` occurs twice");
    }
    signature.parameters.push_back(std::move(parameter));
  }
  tokens_.expect(")");
}

void Parser::macro_body(Signature& signature, std::string_view end) {
  const During<int> outside_loops(loops_, 0);
  const During<bool> unconditional(expressions_.under_condition, false);
  const int more = expressions_.times_read("varargs"), named = expressions_.times_read("kwargs");
  const int caller = expressions_.times_read("caller");
  signature.body = last_body(end);
  signature.takes_more = expressions_.times_read("varargs") > more;
  signature.takes_named = expressions_.times_read("kwargs") > named;
  signature.takes_caller = expressions_.times_read("caller") > caller;
}

Statement Parser::macro_statement(Place place) {
  auto signature = std::make_shared<Signature>();
  signature->name = expressions_.single_name().name;
  parameters(*signature);
  macro_body(*signature, "endmacro");
  return {place, MacroDefinition{std::move(signature)}};
}

Statement Parser::call_statement(Place place) {
  auto caller = std::make_shared<Signature>();
  caller->name = "caller";
  if (tokens_.current().is("(")) parameters(*caller);
  ExpressionPtr call = expressions_.expression();
  if (!std::holds_alternative<Call>(call->node)) throw TemplateError("expected a call behind `call`", place);
  macro_body(*caller, "endcall");
  return {place, CallBlock{std::move(caller), std::move(call)}};
}

Statement Parser::filter_statement(Place place) {
  ExpressionPtr filters = expressions_.filters_of_a_body(true);
  return {place, FilterBlock{std::move(filters), last_body("endfilter")}};
}

Statement Parser::with_statement(Place place) {
  With with;
  while (tokens_.current().kind != TokenKind::block_end) {
    if (!with.values.empty()) tokens_.expect(",");
    Target target = expressions_.target(false);
    tokens_.expect("=");
    with.values.emplace_back(std::move(target), expressions_.expression());
  }
  with.body = last_body("endwith");
  return {place, std::move(with)};
}

Statement Parser::generation_statement(Place place) {
  const During<int> outside_loops(loops_, 0);  // the block is a call, which `break` cannot leave
  return {place, Generation{last_body("endgeneration")}};
}

Statement Parser::loop_control(Place place, const std::string& tag) {
  if (loops_ == 0) throw TemplateError("`" + tag + "` stands outside of a loop", place);
  if (tag == "break") return {place, Break{}};
  return {place, Continue{}};
}

}  // namespace

Body parse(std::string_view source) { return Parser(TokenStream(tokens_of(source))).run(); }

}  // namespace ftl::chat
