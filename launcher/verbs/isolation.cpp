#include "launcher/verbs/isolation.h"

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>

#include <fmt/format.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "launcher/verbs/verb.h"

namespace ftl {
namespace {

bool write_all(int descriptor, const std::string& text) {
  for (std::size_t sent = 0; sent < text.size();) {
    const ssize_t n = ::write(descriptor, text.data() + sent, text.size() - sent);
    if (n < 0 && errno != EINTR) return false;
    if (n > 0) sent += static_cast<std::size_t>(n);
  }
  return true;
}

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
}

Failure crashed(const std::string& what, int status) {
  const std::string how = WIFSIGNALED(status)
                              ? fmt::format("signal {} ({})", WTERMSIG(status), ::strsignal(WTERMSIG(status)))
                              : fmt::format("exit code {}", WEXITSTATUS(status));
  return {FaultKind::internal_error, fmt::format("{} ended by {}", what, how), "a child process", ""};
}

}  // namespace

Result<std::string> text_from_child(const std::string& what, const std::function<std::string()>& work) {
  int pipe_ends[2];
  if (::pipe(pipe_ends) != 0)
    return Failure{FaultKind::internal_error, fmt::format("no pipe: {}", std::strerror(errno)), what, ""};
  std::fflush(nullptr);
  const pid_t parent = ::getpid();
  const pid_t child = ::fork();
  if (child < 0)
    return Failure{FaultKind::internal_error, fmt::format("no child process: {}", std::strerror(errno)), what, ""};
  if (child == 0) {
    die_with(parent);
    ::close(pipe_ends[0]);
    const bool sent = write_all(pipe_ends[1], work());
    ::_exit(sent ? 0 : 1);
  }
  ::close(pipe_ends[1]);
  std::string text = read_all(pipe_ends[0]);
  ::close(pipe_ends[0]);
  const int status = wait_for(child);
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) return crashed(what, status);
  return text;
}

int exit_code_from_child(const std::string& what, const std::function<int()>& work) {
  std::fflush(nullptr);
  const pid_t parent = ::getpid();
  const pid_t child = ::fork();
  if (child < 0)
    return refuse(
        Failure{FaultKind::internal_error, fmt::format("no child process: {}", std::strerror(errno)), what, ""});
  if (child == 0) {
    die_with(parent);
    const int code = work();
    std::fflush(nullptr);
    ::_exit(code);
  }
  const int status = wait_for(child);
  if (WIFEXITED(status)) return WEXITSTATUS(status);
  return refuse(crashed(what, status));
}

}  // namespace ftl
