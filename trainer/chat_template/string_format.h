// Python's two ways of formatting: `"%s" % value` and `"{}".format(value)`, with the conversions for str, int and
// float. Others, and fields with attributes that begin with an underscore, are refused by name.
#pragma once

#include "trainer/chat_template/arguments.h"
#include "trainer/chat_template/limits.h"
#include "trainer/chat_template/text.h"
#include "trainer/chat_template/value.h"

namespace ftl::chat {

Text percent_format(const Text& format, const Value& values, Meter& meter);
Text brace_format(Evaluator& evaluator, const Text& format, const Arguments& arguments);

// `text` with `fill` (one character) around it up to `width` code points; align: '<', '>', '^'.
Text padded(const Text& text, std::int64_t width, std::string_view fill, char align, Meter& meter);

}  // namespace ftl::chat
