// Values as text: what `str`, `repr` and `json.dumps` of Python make of them.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "trainer/chat_template/limits.h"
#include "trainer/chat_template/value.h"

namespace ftl::chat {

std::string real_text(double value);        // the shortest that reads back: 1.0, 0.1, 1e+16, nan, inf
std::string quoted(std::string_view text);  // repr of a str

// A text as it is, with its sources; undefined is empty; everything else as repr.
Text shown(const Value& value, Meter& meter);
Text repr(const Value& value, Meter& meter);

struct JsonStyle {
  std::optional<std::string> indent;  // of a level
  std::string item_separator = ", ", key_separator = ": ";
  bool ascii_only = false, sort_keys = false;
};
// Throws TemplateError for what is not JSON: undefined, functions, iterators, keys that are no scalars.
Text json_text(const Value& value, const JsonStyle& style, Meter& meter);

}  // namespace ftl::chat
