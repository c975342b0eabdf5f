// Expressions, by the precedences of Jinja 3.1 (which are not Python's: `~` binds tighter than `+`, filters tighter
// than every binary operator, `-x|f` is `(-x)|f`, and `**` groups to the left).
#pragma once

#include <algorithm>
#include <initializer_list>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "trainer/chat_template/ast.h"
#include "trainer/chat_template/token_stream.h"

namespace ftl::chat {

class ExpressionParser {
 public:
  explicit ExpressionParser(TokenStream& tokens) : tokens_(tokens) {}

  ExpressionPtr expression();
  // One expression, or a tuple without parentheses. `ends_at`: a name that ends it, as `recursive` does; the
  // conditional `a if b` is not read when `with_conditional` is false.
  ExpressionPtr tuple(bool with_conditional = true, std::string_view ends_at = {});
  Target target(bool with_attributes, std::string_view ends_at = {});
  Target single_name();
  // The filters of a filter block or block set around Captured; `starts`: without a leading `|`.
  ExpressionPtr filters_of_a_body(bool starts);

  // Unknown filters and tests are an error at once, unless they stand under a condition: then when they are reached.
  bool under_condition = false;
  void refuse_unknown() const;
  // How often a name was read so far: tells whether a macro uses `varargs`, `kwargs` or `caller`.
  int times_read(const std::string& name) const;

  // Guards recursion; every block of statements holds one too.
  class Nesting {
   public:
    explicit Nesting(ExpressionParser& parser);
    ~Nesting() { --parser_.nesting_; }
    Nesting(const Nesting&) = delete;
    Nesting& operator=(const Nesting&) = delete;

   private:
    ExpressionParser& parser_;
  };

 private:
  template <class Node>
  ExpressionPtr make(Place place, Node node, std::initializer_list<const Expression*> parts, int deepest = 0);

  ExpressionPtr conditional();
  ExpressionPtr logical_or();
  ExpressionPtr logical_and();
  ExpressionPtr negation();
  ExpressionPtr comparison();
  ExpressionPtr sum();
  ExpressionPtr joined();
  ExpressionPtr product();
  ExpressionPtr power();
  ExpressionPtr unary(bool with_filters = true);
  ExpressionPtr primary();
  ExpressionPtr parenthesized();
  ExpressionPtr list();
  ExpressionPtr dict();
  ExpressionPtr postfix(ExpressionPtr of);
  ExpressionPtr filters_and_tests(ExpressionPtr of);
  ExpressionPtr attribute(ExpressionPtr of);
  ExpressionPtr subscript(ExpressionPtr of);
  ExpressionPtr slice(Place place, ExpressionPtr of, ExpressionPtr start);
  ExpressionPtr call(ExpressionPtr of);
  ExpressionPtr filter(ExpressionPtr of);
  ExpressionPtr test(ExpressionPtr of);
  CallArguments call_arguments();
  void call_argument(CallArguments& arguments);
  std::string dotted_name();
  bool ends_tuple(std::string_view ends_at) const;
  std::optional<Comparison> comparison_sign();

  struct Unknown {
    std::string what;
    Place place;
  };
  TokenStream& tokens_;
  int nesting_ = 0;
  std::vector<Unknown> unknown_;
  std::map<std::string, int> names_read_;
};

template <class Node>
ExpressionPtr ExpressionParser::make(Place place, Node node, std::initializer_list<const Expression*> parts,
                                     int deepest) {
  constexpr int longest_chain = 300;  // of operators, subscripts and filters one on another
  for (const Expression* part : parts) {
    if (part != nullptr) deepest = std::max(deepest, part->depth);
  }
  if (deepest >= longest_chain) {
    throw TemplateError("the expression has more than " + std::to_string(longest_chain) + " levels", place);
  }
  return std::make_unique<const Expression>(Expression{place, deepest + 1, std::move(node)});
}

}  // namespace ftl::chat
