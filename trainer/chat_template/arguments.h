// The arguments of a call, and how a filter, test, method or function takes them by position or name.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "trainer/chat_template/value.h"

namespace ftl::chat {

struct Arguments {
  std::vector<Value> positional;
  std::vector<std::pair<std::string, Value>> named;
};

// Arguments put in the order of `names`. Throws TemplateError, naming `callee`, when there are too many, one is
// unknown or given twice, or one of the first `required` is missing.
class Bound {
 public:
  Bound(std::string_view callee, const Arguments& arguments, std::initializer_list<std::string_view> names,
        std::size_t required = 0);

  bool has(std::size_t index) const { return given_[index]; }
  const Value& operator[](std::size_t index) const { return values_[index]; }
  bool flag(std::size_t index, bool fallback) const;
  std::int64_t integer(std::size_t index, std::int64_t fallback) const;  // throws on anything but an int or a bool
  const Text& text(std::size_t index) const;                             // throws on anything but a string
  bool is_none_or_missing(std::size_t index) const { return !given_[index] || values_[index].is_none(); }

 private:
  [[noreturn]] void wrong_type(std::size_t index, std::string_view expected) const;
  std::string callee_;
  std::vector<std::string_view> names_;
  std::vector<Value> values_;
  std::vector<bool> given_;
};

}  // namespace ftl::chat
