#include "trainer/out_of_memory.h"

#include <unistd.h>

#include <atomic>
#include <new>

namespace ftl {
namespace {

struct LastWords {
  int descriptor = -1;
  std::string report, for_people;
  int exit_code = 0;
};
LastWords last_words;
std::atomic_flag said;

// Threads that run out together: the first one speaks, the others wait for the end.
[[noreturn]] void say_so_and_end() {
  while (said.test_and_set()) ::pause();
  (void)write_all(last_words.descriptor, last_words.report);
  (void)write_all(STDERR_FILENO, last_words.for_people);
  ::_exit(last_words.exit_code);
}

}  // namespace

ReportFailure out_of_memory_report(Rank rank) {
  return {{FaultKind::host_out_of_memory,
           "the process asked for memory, and the system has no more for it (or a limit of its own, see ulimit -v)",
           "rank " + std::to_string(rank.value), ""},
          0};
}

void end_when_memory_runs_out(int descriptor, const ReportFailure& report) {
  last_words = {descriptor, encode(report), describe(report.failure), exit_code(report.failure.kind)};
  std::set_new_handler(say_so_and_end);
}

}  // namespace ftl
