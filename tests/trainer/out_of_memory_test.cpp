#include "trainer/out_of_memory.h"

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <new>
#include <string>
#include <thread>

#include <gtest/gtest.h>

namespace ftl {
namespace {

struct Told {
  std::string line;
  int status = 0;
};

// What a process says on its pipe that goes on asking for memory on two threads until there is none.
Told told_by_a_process_that_runs_out() {
  int ends[2];
  if (::pipe(ends) != 0) return {};
  const pid_t child = ::fork();
  if (child == 0) {
    ::close(ends[0]);
    end_when_memory_runs_out(ends[1], out_of_memory_report(Rank{3}));
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    std::get_new_handler()();  // under a sanitizer the address space cannot be limited
#else
    const rlimit limit{512u << 20, 512u << 20};
    ::setrlimit(RLIMIT_AS, &limit);
    const auto ask = [] {  // volatile: or the compiler asks for nothing
      for ([[maybe_unused]] char* volatile newest = nullptr;;) newest = new char[1 << 20];
    };
    std::thread other(ask);
    ask();
#endif
    ::_exit(99);
  }
  ::close(ends[1]);
  Told told;
  char buffer[4096];
  for (ssize_t got = 0; (got = ::read(ends[0], buffer, sizeof buffer)) > 0;)
    told.line.append(buffer, static_cast<std::size_t>(got));
  ::close(ends[0]);
  ::waitpid(child, &told.status, 0);
  return told;
}

TEST(OutOfMemory, IsNamedOnceByTheRankItselfWhicheverThreadRunsOut) {
  const Told told = told_by_a_process_that_runs_out();
  EXPECT_TRUE(WIFEXITED(told.status));
  EXPECT_EQ(WEXITSTATUS(told.status), 4);
  const Result<RankReport> report = decode_report(told.line);  // one line: two would not be understood
  ASSERT_TRUE(report) << told.line;
  const auto* failure = std::get_if<ReportFailure>(&*report);
  ASSERT_NE(failure, nullptr);
  EXPECT_EQ(failure->failure.kind, FaultKind::host_out_of_memory);
  EXPECT_EQ(failure->failure.where, "rank 3");
}

}  // namespace
}  // namespace ftl
