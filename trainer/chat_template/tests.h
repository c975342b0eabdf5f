// Jinja's tests, `x is odd`: https://jinja.palletsprojects.com/en/stable/templates/#list-of-builtin-tests
#pragma once

#include <string_view>

#include "trainer/chat_template/arguments.h"
#include "trainer/chat_template/value.h"

namespace ftl::chat {

struct Test {
  std::string_view name;
  bool (*holds)(Evaluator& evaluator, const Value& value, const Arguments& arguments);
};

const Test* find_test(std::string_view name);  // null: there is none of that name

}  // namespace ftl::chat
