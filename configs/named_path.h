// A path that a configuration or a command line names, judged before it is opened: to open a pipe is to wait for
// whoever writes into it.
#pragma once

#include <optional>
#include <string>

#include "failures/failure.h"

namespace ftl {

// file_not_found: there is nothing, it is something else (and what), or this user may not read it.
std::optional<Failure> why_not_a_file(const std::string& path);
std::optional<Failure> why_not_a_directory(const std::string& path);

}  // namespace ftl
