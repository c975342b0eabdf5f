// CLI11 with our conventions: usage errors exit with 2 and say where help is.
#pragma once

#include <optional>

#include "launcher/verbs/verb.h"

namespace CLI {
class App;
}

namespace ftl {

// Parses; a value is the exit code to end with (0 after -h, 2 for an error, which was printed).
std::optional<int> parse(CLI::App& app, const Arguments& arguments);

// The exit code of a verb whose output had to arrive: `code`, or 3 with a message when standard output was full or
// closed and `code` is 0.
int code_when_output_arrived(int code);

}  // namespace ftl
