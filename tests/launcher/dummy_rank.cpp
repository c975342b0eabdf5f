// A rank without arithmetic, for tests of everything around a rank: it opens its ring, reports, makes steps, and
// misbehaves as its arguments say.
//   dummy_rank --spec FILE [--steps N] [--step-ms MS] [--flood LINES] [--fork-child] [--exit CODE] [--ignore-sigterm]
//   [--damaged-state] --rank K
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>

#include "comm/flight_recorder.h"
#include "comm/process_spec.h"
#include "comm/report.h"

namespace {

volatile std::sig_atomic_t stop_asked = 0;

void report(const ftl::RankReport& what) {
  const std::string line = ftl::encode(what);
  if (::write(ftl::report_descriptor, line.data(), line.size()) < 0) std::perror("report");
}

}  // namespace

int main(int argc, char** argv) {
  std::string spec_path;
  long steps = 1'000'000, step_ms = 20, flood = 0;
  int rank = 0, exit_code = 0;
  bool forks = false, ignores = false, finds_damage = false;
  for (int i = 1; i < argc; ++i) {
    const std::string_view name = argv[i];
    const auto next = [&] { return i + 1 < argc ? argv[++i] : ""; };
    if (name == "--spec")
      spec_path = next();
    else if (name == "--rank")
      rank = std::atoi(next());
    else if (name == "--steps")
      steps = std::atol(next());
    else if (name == "--step-ms")
      step_ms = std::atol(next());
    else if (name == "--flood")
      flood = std::atol(next());
    else if (name == "--exit")
      exit_code = std::atoi(next());
    else if (name == "--fork-child")
      forks = true;
    else if (name == "--ignore-sigterm")
      ignores = true;
    else if (name == "--damaged-state")
      finds_damage = true;
    else
      return 64;
  }
  if (std::getenv(ftl::secret_variable) != nullptr)
    return 65;  // a rank must not know the secret of the control connection
  std::ifstream file(spec_path);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  auto spec = ftl::process_spec_from_json(text);
  if (!spec) return 66;
  struct sigaction action {};
  action.sa_handler = [](int) { stop_asked = 1; };
  if (ignores) action.sa_handler = SIG_IGN;
  ::sigaction(SIGTERM, &action, nullptr);
  if (forks && ::fork() == 0) {
    ::setsid();  // out of the rank's process group
    for (;;) ::pause();
  }
  ftl::SystemClock clock;
  auto ring = ftl::FlightRecorder::create(spec->ring_path(ftl::Rank{rank}), ftl::Rank{rank}, spec->attempt);
  if (!ring) return 67;
  if (finds_damage && spec->attempt == ftl::Attempt{1}) {
    report(ftl::ReportFailure{
        {ftl::FaultKind::checkpoint_corrupt, "a tensor is missing", spec->resume_from + "/optimizer.safetensors", ""},
        0});
    return 4;
  }
  ftl::ReportStarted started;
  started.pid = static_cast<int>(::getpid());
  started.steps = steps;
  report(started);
  std::printf("rank %d says hello\n", rank);
  std::fflush(stdout);
  for (long line = 0; line < flood; ++line) std::printf("line %ld of a flood that nobody asked for\n", line);
  std::fflush(stdout);
  long step = 0;
  for (; step < steps && stop_asked == 0; ++step) {
    ring->enter(ftl::Phase::forward, ftl::Step{step}, clock.now());
    ::usleep(static_cast<useconds_t>(step_ms * 1000));
    ftl::ReportStep done;
    done.step = step + 1;
    done.loss = 2.0 / static_cast<double>(step + 1);
    done.tokens = 64;
    report(done);
  }
  ftl::ReportFinished finished;
  finished.step = step;
  finished.stopped = stop_asked != 0;
  if (exit_code == 0) report(finished);
  return exit_code;
}
