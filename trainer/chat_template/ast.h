// A template's parts. Expressions and statements are variants of plain structs; the evaluator has one function for
// each.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "trainer/chat_template/template_error.h"
#include "trainer/chat_template/value.h"

namespace ftl::chat {

struct Filter;  // an entry of the table of filters (filters.h)
struct Test;    // (tests.h)

struct Expression;
using ExpressionPtr = std::unique_ptr<const Expression>;

struct CallArguments {
  std::vector<ExpressionPtr> positional;
  std::vector<std::pair<std::string, ExpressionPtr>> named;
  ExpressionPtr spread, spread_named;  // `*a` and `**a`; may be null
};

struct Literal {
  Value value;
};
struct Name {
  std::string name;
};
struct ListOf {
  std::vector<ExpressionPtr> items;
  bool is_tuple;
};
struct DictOf {
  std::vector<std::pair<ExpressionPtr, ExpressionPtr>> entries;
};
struct Attribute {
  ExpressionPtr of;
  std::string name;
};
struct Subscript {
  ExpressionPtr of, key;
};
struct Slice {
  ExpressionPtr of, start, stop, step;  // null: not given
};
struct Call {
  ExpressionPtr of;
  CallArguments arguments;
};
// `filter` or `test` is null when there is none of that name: an error once it is evaluated.
struct FilterUse {
  ExpressionPtr of;
  std::string name;
  const Filter* filter;
  CallArguments arguments;
};
struct TestUse {
  ExpressionPtr of;
  std::string name;
  const Test* test;
  CallArguments arguments;
  bool negated;
};
struct Unary {
  char sign;  // '+', '-', '!' for `not`
  ExpressionPtr of;
};
enum class BinaryOperator : std::uint8_t { add, subtract, multiply, divide, floor_divide, modulo, power };
struct Binary {
  BinaryOperator op;
  ExpressionPtr left, right;
};
struct Joined {  // a ~ b ~ c
  std::vector<ExpressionPtr> parts;
};
struct Logic {
  bool is_and;
  ExpressionPtr left, right;
};
enum class Comparison : std::uint8_t { eq, ne, lt, le, gt, ge, in, not_in };
struct Compare {
  ExpressionPtr left;
  std::vector<std::pair<Comparison, ExpressionPtr>> rest;
};
struct Conditional {
  ExpressionPtr then, condition, otherwise;  // `otherwise` may be null
};

struct Captured {};  // what the body of a filter block or block set has written: where a chain of filters begins

struct Expression {
  Place place;
  int depth;  // 1 + the deepest part's
  std::variant<Literal, Name, ListOf, DictOf, Attribute, Subscript, Slice, Call, FilterUse, TestUse, Unary, Binary,
               Joined, Logic, Compare, Conditional, Captured>
      node;
};

// What `set` and `for` give values to: a name, an attribute of a namespace, or a tuple of these.
struct Target {
  Place place;
  std::string name{}, attribute{};  // attribute: empty, or of the namespace `name`
  std::vector<Target> parts{};      // a tuple when is_tuple
  bool is_tuple = false;
};

struct Statement;
using Body = std::vector<Statement>;

struct Parameter {
  std::string name;
  ExpressionPtr fallback;  // may be null
};
struct Signature {
  std::vector<Parameter> parameters;
  Body body;
  std::string name;
  bool takes_more = false, takes_named = false, takes_caller = false;
};

struct Data {
  std::string text;
};
struct Print {
  ExpressionPtr of;
};
struct If {
  std::vector<std::pair<ExpressionPtr, Body>> branches;
  Body otherwise;
};
struct For {
  Target target;
  ExpressionPtr over, condition;
  bool recursive;
  Body body, otherwise;
};
struct Set {
  Target target;
  ExpressionPtr value;
};
struct SetBlock {
  Target target;
  ExpressionPtr filters;  // around Captured; may be null
  Body body;
};
struct MacroDefinition {
  std::shared_ptr<const Signature> signature;
};
struct CallBlock {
  std::shared_ptr<const Signature> caller;
  ExpressionPtr call;
};
struct FilterBlock {
  ExpressionPtr filters;
  Body body;
};
struct With {
  std::vector<std::pair<Target, ExpressionPtr>> values;
  Body body;
};
struct Generation {
  Body body;
};
struct Break {};
struct Continue {};

struct Statement {
  Place place;
  std::variant<Data, Print, If, For, Set, SetBlock, MacroDefinition, CallBlock, FilterBlock, With, Generation, Break,
               Continue>
      node;
};

}  // namespace ftl::chat
