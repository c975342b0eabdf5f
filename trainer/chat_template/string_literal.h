// What stands between the quotes of a string literal, with the escapes of Python's "unicode-escape" codec.
#pragma once

#include <string>
#include <string_view>

namespace ftl::chat {

// Throws TemplateError (without a place) on a malformed escape. \N{...} and surrogates are refused.
std::string string_literal(std::string_view written);

}  // namespace ftl::chat
