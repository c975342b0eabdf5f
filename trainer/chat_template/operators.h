// Python's operators on values. All throw TemplateError for types that do not go together, for integers outside 64 bits
// and when the meter is empty.
#pragma once

#include "trainer/chat_template/ast.h"
#include "trainer/chat_template/limits.h"
#include "trainer/chat_template/value.h"

namespace ftl::chat {

Value binary(BinaryOperator op, const Value& left, const Value& right, Meter& meter);
Value negated(const Value& value);
Value plus(const Value& value);
bool contains(const Value& container, const Value& item, Meter& meter);
// Missing bounds are none. Of texts by code points.
Value sliced(const Value& of, const Value& start, const Value& stop, const Value& step, Meter& meter);
// The length of what has one.
std::int64_t length(const Value& of);
// First position of `needle` in `text` from byte `from` on, npos if there is none; in linear time, paid by the meter.
std::size_t find_in(std::string_view text, std::string_view needle, std::size_t from, Meter& meter);

}  // namespace ftl::chat
