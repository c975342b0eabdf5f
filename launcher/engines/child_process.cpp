#include "launcher/engines/child_process.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>

extern char** environ;

namespace ftl {
namespace {

constexpr int first_free_descriptor = 16;  // above everything that the child gets

std::vector<char*> pointers_to(const std::vector<std::string>& strings) {
  std::vector<char*> pointers;
  for (const std::string& s : strings) pointers.push_back(const_cast<char*>(s.c_str()));
  pointers.push_back(nullptr);
  return pointers;
}

// Between fork and exec: only async-signal-safe calls.
[[noreturn]] void become(const ChildRequest& request, char* const* argv, char* const* environment, pid_t parent,
                         int complaint) {
  if (request.death_signal != 0) {
    ::prctl(PR_SET_PDEATHSIG, request.death_signal);
    if (::getppid() != parent) ::_exit(127);  // the parent died before the signal was armed
  }
  if (request.new_session)
    ::setsid();
  else
    ::setpgid(0, 0);

  // First out of the way, then into place: the sources may be numbers that are targets too.
  const int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  const int wanted[4] = {-1, request.standard_output, request.standard_error, request.report};
  int moved[4];
  for (int i = 0; i < 4; ++i)
    moved[i] = ::fcntl(wanted[i] >= 0 ? wanted[i] : null, F_DUPFD_CLOEXEC, first_free_descriptor);
  const int report_to = ::fcntl(complaint, F_DUPFD_CLOEXEC, first_free_descriptor);
  for (int i = 0; i < 4; ++i) {
    if (i == 3 && request.report < 0)
      ::close(3);
    else if (::dup2(moved[i], i) < 0)
      ::_exit(127);
  }
  // Other code of this process may have opened descriptors without close-on-exec.
  ::syscall(SYS_close_range, 4u, ~0u, 4u /* CLOSE_RANGE_CLOEXEC */);

  for (int signal = 1; signal < NSIG; ++signal) ::signal(signal, SIG_DFL);
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::execvpe(argv[0], argv, environment);
  const int reason = errno;
  if (::write(report_to, &reason, sizeof reason) < 0) ::_exit(126);
  ::_exit(127);
}

Failure cannot_start(const std::string& program, int error) {
  std::string fix;
  if (error == EAGAIN) fix = "raise the limit of processes and threads of this user (ulimit -u)";
  if (error == EMFILE || error == ENFILE) fix = "raise the limit of open files (ulimit -n)";
  if (error == ENOMEM) fix = "free memory, or raise its limit (ulimit -v, or of the container)";
  return {FaultKind::launch_failed, "`" + program + "` cannot be started: " + std::strerror(error), program, fix};
}

}  // namespace

Result<Pipe> make_pipe() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) {
    return Failure{FaultKind::launch_failed, std::string("no pipe can be opened: ") + std::strerror(errno), "",
                   "raise the limit of open files (ulimit -n)"};
  }
  ::fcntl(ends[0], F_SETFL, O_NONBLOCK);
  return Pipe{Descriptor(ends[0]), Descriptor(ends[1])};
}

Result<pid_t> start_child(const ChildRequest& request) {
  auto complaint = make_pipe();
  if (!complaint) return complaint.error();
  const auto argv = pointers_to(request.argv);
  const auto environment = pointers_to(request.environment);
  const pid_t parent = ::getpid();

  // All signals wait until the child has its own handlers: otherwise a handler of ours could run in it.
  sigset_t all, before;
  ::sigfillset(&all);
  ::sigprocmask(SIG_SETMASK, &all, &before);
  const pid_t pid = ::fork();
  const int error = errno;
  if (pid == 0) become(request, argv.data(), environment.data(), parent, complaint->write.get());
  ::sigprocmask(SIG_SETMASK, &before, nullptr);
  if (pid < 0) return cannot_start(request.argv[0], error);

  if (!request.new_session) ::setpgid(pid, pid);  // whoever is first: the group exists when we return
  complaint->write.reset();
  ::fcntl(complaint->read.get(), F_SETFL, 0);
  int reason = 0;
  ssize_t got = 0;
  do got = ::read(complaint->read.get(), &reason, sizeof reason);
  while (got < 0 && errno == EINTR);
  if (got == 0) return pid;  // closed by a successful exec
  ::waitpid(pid, nullptr, 0);
  return cannot_start(request.argv[0], got == sizeof reason ? reason : EIO);
}

std::vector<std::string> environment_with(const std::vector<std::string>& set,
                                          const std::vector<std::string>& removed) {
  const auto name_of_entry = [](const std::string& entry) { return entry.substr(0, entry.find('=')); };
  std::vector<std::string> out = set;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string name = name_of_entry(*entry);
    const bool replaced =
        std::any_of(set.begin(), set.end(), [&](const std::string& s) { return name_of_entry(s) == name; });
    if (!replaced && std::find(removed.begin(), removed.end(), name) == removed.end()) out.emplace_back(*entry);
  }
  return out;
}

}  // namespace ftl
