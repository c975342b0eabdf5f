// The parser: a template's tokens to its parts.
#pragma once

#include <string_view>

#include "trainer/chat_template/ast.h"

namespace ftl::chat {

// `source` is well-formed UTF-8. Throws TemplateError with the place of what is not understood: syntax errors, and
// tags, filters and tests that are not known.
Body parse(std::string_view source);

}  // namespace ftl::chat
