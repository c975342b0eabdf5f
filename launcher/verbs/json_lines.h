// The filter verbs: a JSON object a line on standard input, one on standard output for each, in order; a bad line gets
// an "error" and the filter goes on (contract.md, "Filters").
#pragma once

#include <functional>
#include <string>

namespace ftl {

// `answer` gets one line and returns the answer's JSON text, or throws std::exception, whose text becomes the error.
// Lines over 64 MiB are answered with an error. Returns 0; 3 when an answer could not be written.
int filter_json_lines(const std::function<std::string(const std::string&)>& answer);

}  // namespace ftl
