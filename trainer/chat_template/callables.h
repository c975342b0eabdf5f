// What can be called: macros, methods of values and global functions; and namespaces, which one of these makes.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "trainer/chat_template/ast.h"
#include "trainer/chat_template/value.h"

namespace ftl::chat {

struct Scope;

struct Namespace final : Object {
  std::string type_name() const override { return "Namespace"; }
  std::string shown() const override { return "<Namespace>"; }
  // What begins with an underscore is closed to templates, as everywhere.
  Value attribute(std::string_view name) const override {
    const auto found = name.starts_with('_') ? values.end() : values.find(std::string(name));
    return found == values.end() ? Value() : found->second;
  }
  std::map<std::string, Value> values;
};

struct Macro final : Object {
  Macro(std::shared_ptr<const Signature> what, const Scope* where) : signature(std::move(what)), closure(where) {}
  std::string type_name() const override { return "Macro"; }
  std::string shown() const override { return "<Macro '" + signature->name + "'>"; }
  Value attribute(std::string_view name) const override;
  bool is_callable() const override { return true; }
  Value call(Evaluator& evaluator, Arguments& arguments) override;
  std::shared_ptr<const Signature> signature;
  const Scope* closure;
};

// Anything with a function behind it: a method bound to its value, a function, `loop.cycle`.
struct Function final : Object {
  using Body = std::function<Value(Evaluator&, const Arguments&)>;
  Function(std::string name_of, Body what) : name(std::move(name_of)), body(std::move(what)) {}
  std::string type_name() const override { return "function"; }
  std::string shown() const override { return "<function " + name + ">"; }
  bool is_callable() const override { return true; }
  Value call(Evaluator& evaluator, Arguments& arguments) override { return body(evaluator, arguments); }
  std::string name;
  Body body;
};

// range, dict, namespace, raise_exception, strftime_now, joiner, cycler. Null: there is none of that name.
const Value* find_function(std::string_view name);

}  // namespace ftl::chat
