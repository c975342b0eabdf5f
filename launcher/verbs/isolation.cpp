#include "launcher/verbs/isolation.h"

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <new>
#include <optional>
#include <system_error>

#include <fmt/format.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "comm/report.h"
#include "launcher/verbs/command_line.h"
#include "launcher/verbs/process_limits.h"

namespace ftl {
namespace {

constexpr int out_of_resources = 120;  // exit code of a child that was refused memory, a thread or a file

std::string read_all(int descriptor) {
  std::string text;
  char buffer[65536];
  for (;;) {
    const ssize_t n = ::read(descriptor, buffer, sizeof buffer);
    if (n == 0 || (n < 0 && errno != EINTR)) return text;
    if (n > 0) text.append(buffer, static_cast<std::size_t>(n));
  }
}

int wait_for(pid_t child) {
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return status;
}

// The child dies with its parent, and a planted SIGINT reaches both through the terminal's process group.
void die_with(pid_t parent) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(1);
  std::set_new_handler([] { ::_exit(out_of_resources); });  // on threads, too, that have nobody to catch it
}

// Before a launch this kind ends with exit code 3: the machine, or the shell's limits, do not let it begin.
Failure short_of(const std::string& what, int error) {
  return {FaultKind::launch_failed,
          fmt::format("{} could not be begun or ended for want of memory, processes or files{}", what,
                      error == 0 ? "" : fmt::format(": {}", std::strerror(error))),
          describe(process_limits(0)), "raise the limit in the shell that starts ftlaunch, or free memory"};
}

volatile std::sig_atomic_t asked_child = 0;  // 0: none
void pass_on(int signal) {
  if (asked_child > 0) ::kill(asked_child, signal);
}

// Requests to stop are the child's to answer, and this process lives until it has.
class SignalsPassedOn {
 public:
  SignalsPassedOn() {
    struct sigaction action {};
    action.sa_handler = pass_on;
    action.sa_flags = SA_RESTART;
    ::sigaction(SIGTERM, &action, &before_[0]);
    ::sigaction(SIGHUP, &action, &before_[1]);
    action.sa_handler = SIG_IGN;  // a terminal's Ctrl-C reaches the child by itself
    ::sigaction(SIGINT, &action, &before_[2]);
  }
  SignalsPassedOn(const SignalsPassedOn&) = delete;
  SignalsPassedOn& operator=(const SignalsPassedOn&) = delete;
  ~SignalsPassedOn() { restore(); }
  // In the child, where `child` is 0, everything is as it was before.
  void to(pid_t child) {
    if (child == 0) return restore();
    asked_child = child;
  }

 private:
  void restore() {
    asked_child = 0;
    ::sigaction(SIGTERM, &before_[0], nullptr);
    ::sigaction(SIGHUP, &before_[1], nullptr);
    ::sigaction(SIGINT, &before_[2], nullptr);
  }
  struct sigaction before_[3]{};
};

// Of `work` in the child, whose exceptions must not reach the parent's stack frames.
int code_of(const std::function<int()>& work) {
  int code = 1;
  try {
    code = work();
  } catch (const std::bad_alloc&) {
    code = out_of_resources;
  } catch (const std::system_error&) {  // of std::thread: no more of them can be had
    code = out_of_resources;
  } catch (const std::exception& error) {
    code = refuse(Failure{FaultKind::internal_error, error.what(), "a child process", ""});
  }
  std::fflush(nullptr);
  return code;
}

Failure crashed(const std::string& what, int status) {
  if (WIFEXITED(status) && WEXITSTATUS(status) == out_of_resources) return short_of(what, 0);
  const std::string how = WIFSIGNALED(status)
                              ? fmt::format("signal {} ({})", WTERMSIG(status), ::strsignal(WTERMSIG(status)))
                              : fmt::format("exit code {}", WEXITSTATUS(status));
  return {FaultKind::internal_error, fmt::format("{} ended by {}", what, how), "a child process", ""};
}

}  // namespace

Result<std::string> text_from_child(const std::string& what, const std::function<std::string()>& work) {
  int pipe_ends[2];
  if (::pipe(pipe_ends) != 0) return short_of(what, errno);
  std::fflush(nullptr);
  const pid_t parent = ::getpid();
  const pid_t child = ::fork();
  if (child < 0) return short_of(what, errno);
  if (child == 0) {
    die_with(parent);
    ::close(pipe_ends[0]);
    ::_exit(code_of([&] { return write_all(pipe_ends[1], work()) ? 0 : 1; }));
  }
  ::close(pipe_ends[1]);
  std::string text = read_all(pipe_ends[0]);
  ::close(pipe_ends[0]);
  const int status = wait_for(child);
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) return crashed(what, status);
  return text;
}

int exit_code_from_child(const std::string& what, const std::function<int()>& work, Requests requests) {
  std::fflush(nullptr);
  const pid_t parent = ::getpid();
  std::optional<SignalsPassedOn> passed_on;
  if (requests == Requests::pass_on) passed_on.emplace();
  const pid_t child = ::fork();
  if (child < 0) return refuse(std::vector<Failure>{short_of(what, errno)});
  if (passed_on) passed_on->to(child);
  if (child == 0) {
    die_with(parent);
    ::_exit(code_of([&] { return code_when_output_arrived(work()); }));
  }
  const int status = wait_for(child);
  if (WIFEXITED(status) && WEXITSTATUS(status) != out_of_resources) return WEXITSTATUS(status);
  return refuse(std::vector<Failure>{crashed(what, status)});
}

}  // namespace ftl
