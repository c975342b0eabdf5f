// Who belongs to a run, seen from outside: every process of it inherits the variable that the test set for its
// launcher. Nothing here believes what the run says of itself.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <string>
#include <vector>

namespace ftl {

inline constexpr const char* test_marker_variable = "FTL_TEST_MARKER";

struct MarkedProcess {
  pid_t pid = 0;
  std::string program;  // "ftlaunch", "mpirun", "ftkeeper", "fttrain"
  int rank = -1;        // of keepers and ranks
  char state = '?';     // of /proc/<pid>/stat
};

// Living processes (zombies have no environment) whose FTL_TEST_MARKER is `marker`.
std::vector<MarkedProcess> marked_processes(const std::string& marker);
std::vector<MarkedProcess> of_program(const std::vector<MarkedProcess>& all, const std::string& program);
std::string describe(const std::vector<MarkedProcess>& processes);

// Polls until none is left or the limit has passed; returns who is left.
std::vector<MarkedProcess> left_after(const std::string& marker, std::chrono::milliseconds limit);
// SIGKILL to all of them until none is found: the end of a test that went wrong.
void kill_all_marked(const std::string& marker);

}  // namespace ftl
