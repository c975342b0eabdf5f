// Methods of str, dict, list and tuple. Python's other methods of these types are known by name, so that a template
// that calls one is told that it is closed to templates (what changes a value, as in Jinja's immutable sandbox) or not
// in this version.
#pragma once

#include <string_view>

#include "trainer/chat_template/arguments.h"
#include "trainer/chat_template/value.h"

namespace ftl::chat {

struct Method {
  std::string_view name;
  Value (*apply)(Evaluator& evaluator, const Value& self, const Arguments& arguments);  // null: closed to templates
};

const Method* find_method(const Value& of, std::string_view name);  // null: the type has none of that name
Value bound_method(const Value& self, const Method& method);

}  // namespace ftl::chat
