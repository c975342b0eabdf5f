// fttrain: one rank. It speaks upward only (reports on a pipe, the flight recorder in shared memory); the launcher acts
// on it as on a process. A composition root: the only place outside tests/ where a RankContext is built.
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <optional>
#include <sstream>

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>
#include <CLI/CLI.hpp>

#include "comm/backend.h"
#include "comm/solo_communicator.h"
#include "configs/config_reader.h"
#include "trainer/out_of_memory.h"
#include "trainer/platform.h"
#include "trainer/run_inputs.h"
#include "trainer/training_loop.h"

namespace ftl {
namespace {

volatile std::sig_atomic_t stop_signal = 0;

void note_stop(int) { stop_signal = 1; }

void install_signals() {
  struct sigaction action {};
  action.sa_handler = note_stop;
  action.sa_flags = SA_RESTART;
  ::sigaction(SIGTERM, &action, nullptr);
  ::signal(SIGINT, SIG_IGN);   // a terminal's Ctrl-C is the launcher's business
  ::signal(SIGPIPE, SIG_IGN);  // a lost keeper is noticed by PR_SET_PDEATHSIG, not by a write
}

// Reports go to the keeper's pipe when there is a keeper; a rank started by hand prints them.
class ReportPipe {
 public:
  ReportPipe() : descriptor_(::fcntl(report_descriptor, F_GETFD) >= 0 ? report_descriptor : STDOUT_FILENO) {}
  void operator()(const RankReport& report) const {
    // A lost keeper takes this process with it; there is nobody else to tell.
    (void)write_all(descriptor_, encode(report));
  }
  int descriptor() const { return descriptor_; }

 private:
  int descriptor_;
};

std::string library_directory() {
  std::error_code error;
  const auto binary = std::filesystem::read_symlink("/proc/self/exe", error);
  return (binary.parent_path().parent_path() / "lib").string();
}

Result<std::string> read_text(const std::string& path) {
  PosixFiles files;
  constexpr std::size_t limit = 16u << 20;
  return files.read(path, limit);
}

MakeCommunicatorResult join_world(const ProcessSpec& spec, Rank rank) {
  if (spec.backend == "none") return make_solo_communicator();
  return make_communicator(spec.backend, library_directory(), BackendOptions{.rank = rank, .world = spec.world});
}

// What is loaded must be what was checked before the launch. Files that somebody has touched since, and those of
// another host, are read whole to find out.
std::optional<Failure> changed_inputs(const ProcessSpec& spec, const RunConfig& config, const RunInputs& inputs) {
  if (spec.inputs_stamp.empty() || stamp_of_inputs(config) == spec.inputs_stamp) return std::nullopt;
  const Result<std::string> hash = hash_of_inputs(inputs, spec.threads_per_rank);
  if (!hash) return hash.error();
  if (spec.run_identity.ends_with(*hash)) return std::nullopt;
  return Failure{FaultKind::run_identity_changed,
                 "the files of data, tokenizer or model are no longer those that the run was started with", "",
                 "bring them back, or start over with --resume never"};
}

Result<TrainingOutcome> run_rank(const ProcessSpec& spec, Rank rank, FlightRecorder& recorder, const ReportPipe& report,
                                 std::unique_ptr<Communicator>& communicator) {
  SystemClock clock;
  PosixFiles files([&] { recorder.heartbeat(clock.now()); });
  recorder.enter(Phase::init, Step{0}, clock.now());
  Result<RunConfig> config = config_from_json(spec.config_json);
  if (!config) return config.error();
  Result<std::unique_ptr<Device>> device = make_cpu_device();
  if (!device) return device.error();
  const Result<std::string> here = platform_of(files, **device, "/proc/self/exe");
  if (!here) return here.error();
  if (!spec.expected_platform.empty() && *here != spec.expected_platform) {
    return Failure{FaultKind::platform_changed,
                   fmt::format("this node has {}, the run was started with {}", *here, spec.expected_platform),
                   fmt::format("rank {}", rank.value), ""};
  }
  // Data and weights first: no rank may sit in a collective while another one reads files.
  Result<RunInputs> inputs = load_inputs(files, *config, spec.threads_per_rank);
  if (!inputs) return inputs.error();
  if (auto changed = changed_inputs(spec, *config, *inputs)) {
    changed->where = fmt::format("rank {}", rank.value);
    return *changed;
  }
  recorder.heartbeat(clock.now());
  Result<Llama> model = load_model(**device, *config, *inputs);
  if (!model) return model.error();
  recorder.heartbeat(clock.now());
  MakeCommunicatorResult joined = join_world(spec, rank);
  if (!joined) return joined.error();
  communicator = std::move(*joined);
  RankContext context{clock,      *communicator, **device, files, recorder, report, [] { return stop_signal != 0; },
                      ::getpid(), *here};
  return train(context, spec, *config, *inputs, *model);
}

int run(const std::string& spec_path, int rank_number) {
  install_signals();
  const ReportPipe report;
  Result<std::string> text = read_text(spec_path);
  Result<ProcessSpec> spec = text ? process_spec_from_json(*text) : Result<ProcessSpec>(text.error());
  if (!spec) {
    std::fputs(describe(spec.error()).c_str(), stderr);
    return exit_code(spec.error().kind);
  }
  const Rank rank{rank_number};
  end_when_memory_runs_out(report.descriptor(), out_of_memory_report(rank));
  Result<FlightRecorder> recorder = FlightRecorder::create(spec->ring_path(rank), rank, spec->attempt);
  std::unique_ptr<Communicator> communicator;
  Result<TrainingOutcome> outcome =
      recorder ? run_rank(*spec, rank, *recorder, report, communicator) : Result<TrainingOutcome>(recorder.error());
  if (!outcome) {
    report(ReportFailure{outcome.error(), recorder ? recorder->snapshot().step : 0});
    std::fputs(describe(outcome.error()).c_str(), stderr);
    std::fflush(stderr);
    // No clean-up of the communication library: with a peer dead or elsewhere it could wait for ever.
    ::_exit(exit_code(outcome.error().kind));
  }
  return 0;
}

}  // namespace
}  // namespace ftl

int main(int argc, char** argv) {
  CLI::App app("fttrain: one rank of an ftlaunch run. Started by ftlaunch through its keeper.");
  std::string spec_path;
  int rank = 0;
  app.add_option("--spec", spec_path, "what this attempt is (JSON, written by ftlaunch)");
  app.add_option("--rank", rank, "which rank to be")->check(CLI::NonNegativeNumber);
  CLI11_PARSE(app, argc, argv);
  if (spec_path.empty()) {
    std::fputs("error: --spec is missing; this program is started by ftlaunch\n", stderr);
    return 2;
  }
  return ftl::run(spec_path, rank);
}
