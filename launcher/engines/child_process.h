// Starts a program so that it cannot outlive its parent unseen: parent-death signal, own process group or session,
// nothing inherited but what is named here, default signal handling. Used by the launcher for engines and by keepers
// for ranks.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "checkpoints/descriptor.h"
#include "failures/result.h"

namespace ftl {

struct Pipe {
  Descriptor read;  // non-blocking for `read` only: the writer may be a program that does not expect it
  Descriptor write;
};
Result<Pipe> make_pipe();  // both ends close on exec

struct ChildRequest {
  std::vector<std::string> argv;         // argv[0] is a path, or a name to look up in PATH
  std::vector<std::string> environment;  // "NAME=value", complete
  int standard_output = -1;  // descriptors of the caller; -1: /dev/null. Standard input is always /dev/null.
  int standard_error = -1;
  int report = -1;           // becomes descriptor 3; -1: the child has none
  bool new_session = false;  // else only its own process group
  int death_signal = 0;      // sent to the child when the thread that started it dies
};

// The pid, when the program is being executed. Failure launch_failed: when it cannot be (not found, not executable).
// Call from the main thread only: the death signal fires on the end of the calling thread.
Result<pid_t> start_child(const ChildRequest& request);

// The caller's environment, with `set` added or replaced ("NAME=value") and `removed` (names) taken out.
std::vector<std::string> environment_with(const std::vector<std::string>& set, const std::vector<std::string>& removed);

}  // namespace ftl
