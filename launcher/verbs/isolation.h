// Runs code that reads foreign files (tokenizers, weights, data) in a child process, so that a fault in a parser ends
// the child and becomes a message, and so that the launcher's memory stays small. The process must not have started
// threads yet.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "failures/result.h"

namespace ftl {

// What `work` returned in the child. Failures: internal_error, naming the signal, when the child did not survive it;
// launch_failed when memory, processes or files were refused to it.
Result<std::string> text_from_child(const std::string& what, const std::function<std::string()>& work);

// Runs `work` in the child with this process's own standard streams; returns its exit code, 3 with a message when its
// output was lost or resources were refused, or 1 with a message when it crashed.
// `pass_on`: SIGTERM, SIGHUP and Ctrl-C do not end this process, but reach the child.
enum class Requests : std::uint8_t { end_both, pass_on };
int exit_code_from_child(const std::string& what, const std::function<int()>& work,
                         Requests requests = Requests::end_both);

}  // namespace ftl
