#include "launcher/keeper/rank_process.h"

#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <sstream>

#include "comm/process_spec.h"
#include "launcher/engines/process_table.h"

namespace ftl {

Result<RankProcess> RankProcess::start(const std::vector<std::string>& argv) {
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);
  auto report = make_pipe();
  auto output = make_pipe();
  auto error = make_pipe();
  if (!report) return report.error();
  if (!output) return output.error();
  if (!error) return error.error();
  ChildRequest request;
  request.argv = argv;
  request.environment = environment_with({}, {secret_variable});
  request.report = report->write.get();
  request.standard_output = output->write.get();
  request.standard_error = error->write.get();
  request.death_signal = SIGKILL;
  const auto pid = start_child(request);
  if (!pid) return pid.error();
  RankProcess rank;
  rank.pid_ = *pid;
  rank.report = std::move(report->read);
  rank.standard_output = std::move(output->read);
  rank.standard_error = std::move(error->read);
  return rank;
}

bool RankProcess::dead() const {
  if (reaped_) return true;
  siginfo_t info{};
  return ::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == pid_;
}

void RankProcess::terminate() const {
  if (!dead()) ::kill(pid_, SIGTERM);
}

void RankProcess::kill() {
  if (dead()) return;
  killed_by_us_ = true;
  ::kill(-pid_, SIGKILL);
  ::kill(pid_, SIGKILL);  // should it have left its group
}

std::optional<RankProcess::End> RankProcess::reap() {
  std::optional<End> end;
  for (;;) {
    int status = 0;
    rusage usage{};
    const pid_t pid = ::wait4(-1, &status, WNOHANG, &usage);
    if (pid < 0 && errno == EINTR) continue;
    if (pid <= 0) return end;
    if (pid != pid_ || reaped_) continue;
    reaped_ = true;
    end = End{};
    end->status.signalled = WIFSIGNALED(status);
    end->status.code = WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status);
    end->status.core_dumped = WIFSIGNALED(status) && WCOREDUMP(status);
    end->peak_resident_bytes = std::int64_t{usage.ru_maxrss} * 1024;
  }
}

void RankProcess::reap_descendants() const {
  const std::string children = "/proc/self/task/" + std::to_string(::getpid()) + "/children";
  for (int round = 0; round < 200; ++round) {  // a tree of processes comes to us generation by generation
    ::kill(-pid_, SIGKILL);
    std::istringstream pids(read_small_file(children).value_or(""));
    for (pid_t pid = 0; pids >> pid;) ::kill(pid, SIGKILL);
    pid_t reaped = 0;
    do reaped = ::waitpid(-1, nullptr, WNOHANG);
    while (reaped > 0);
    if (reaped < 0 && errno == ECHILD) return;
    ::usleep(5'000);
  }
}

}  // namespace ftl
