// Walks a template's parts and writes its output. One evaluator renders once.
//
// Which message bytes belong to: while a `for` loop's item is one of the messages (or a loop over something else has
// set a name to one), what is written belongs to that message; texts of messages bring their own source along.
#pragma once

#include <ctime>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "trainer/chat_template/arguments.h"
#include "trainer/chat_template/ast.h"
#include "trainer/chat_template/limits.h"
#include "trainer/chat_template/value.h"

namespace ftl::chat {

struct Scope {
  const Scope* parent = nullptr;
  std::unordered_map<std::string, Value> values;
};

class Evaluator {
 public:
  // `now`: local time, for strftime_now.
  Evaluator(const Limits& limits, std::unordered_map<std::string, Value> variables, const std::tm& now);
  // May throw TemplateError; then place() is where.
  Text render(const Body& body);
  Place place() const { return place_; }

  // For filters, tests, methods and functions.
  Meter& meter() { return meter_; }
  const std::tm& now() const { return now_; }
  Value attribute(const Value& of, std::string_view name);
  Value item(const Value& of, const Value& key);
  Value call(const Value& callee, Arguments& arguments);
  Value apply_filter(const std::string& name, const Value& value, const Arguments& arguments);
  bool apply_test(const std::string& name, const Value& value, const Arguments& arguments);
  // Items of a list, characters of a text, keys of a dict; empties an iterator. Throws for what cannot be iterated.
  std::vector<Value> iterate(const Value& value);
  Text shown(const Value& value);
  // Namespaces may come to hold themselves, so they are owned here and not by their values.
  Value keep(std::unique_ptr<Object> object);
  // In a scope of its own below `closure`.
  Text call_macro(const Signature& signature, const Scope* closure, Arguments& arguments);
  Text recurse(const For& loop, const Scope* scope, const Value& over, std::int64_t level);

 private:
  enum class Flow : std::uint8_t { next, stop_loop, next_iteration };
  class InnerScope;
  class Capture;

  Value evaluate(const Expression& expression);
  Value value_of(const Literal& literal, Place place);
  Value value_of(const Name& name, Place place);
  Value value_of(const ListOf& list, Place place);
  Value value_of(const DictOf& dict, Place place);
  Value value_of(const Attribute& attribute, Place place);
  Value value_of(const Subscript& subscript, Place place);
  Value value_of(const Slice& slice, Place place);
  Value value_of(const Call& call, Place place);
  Value value_of(const FilterUse& use, Place place);
  Value value_of(const TestUse& use, Place place);
  Value value_of(const Unary& unary, Place place);
  Value value_of(const Binary& binary, Place place);
  Value value_of(const Joined& joined, Place place);
  Value value_of(const Logic& logic, Place place);
  Value value_of(const Compare& compare, Place place);
  Value value_of(const Conditional& conditional, Place place);
  Value value_of(const Captured& captured, Place place);
  Arguments arguments_of(const CallArguments& written);

  Flow run(const Body& body);
  Flow run(const Data& data);
  Flow run(const Print& print);
  Flow run(const If& branches);
  Flow run(const For& loop);
  Flow run(const Set& set);
  Flow run(const SetBlock& set);
  Flow run(const MacroDefinition& macro);
  Flow run(const CallBlock& block);
  Flow run(const FilterBlock& block);
  Flow run(const With& with);
  Flow run(const Generation& block);
  Flow run(const Break&) { return Flow::stop_loop; }
  Flow run(const Continue&) { return Flow::next_iteration; }
  Flow run_loop(const For& loop, std::vector<Value> items, const Scope* outside, std::int64_t level);
  std::vector<Value> kept(const For& loop, std::vector<Value> items);

  void assign(const Target& target, const Value& value);
  void write(const Text& text);
  Value macro(std::shared_ptr<const Signature> signature);

  Meter meter_;
  std::tm now_;
  std::deque<Scope> scopes_;  // as a stack, but for scopes that a macro refers to: these stay
  std::vector<std::unique_ptr<Object>> kept_;
  Scope* scope_ = nullptr;
  std::size_t macros_made_ = 0;
  Text* out_ = nullptr;
  Text captured_;
  Source around_;  // of what is written now
  int loops_ = 0;
  std::int32_t generations_ = 0;
  Place place_;
};

}  // namespace ftl::chat
