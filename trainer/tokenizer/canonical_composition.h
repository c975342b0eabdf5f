// Unicode normal form C where most of a text has it already: only stretches around characters that may change are
// decomposed and composed again, all else is copied.
#pragma once

#include <string>

namespace ftl {

// `text` is well-formed UTF-8. `spare` is working memory, its contents before and after mean nothing.
void compose_canonically(std::string& text, std::string& spare);

}  // namespace ftl
