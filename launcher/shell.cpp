#include "launcher/shell.h"

#include <sys/prctl.h>
#include <unistd.h>

#include <fmt/format.h>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>

#include <csignal>
#include <deque>
#include <fstream>
#include <optional>

#include "launcher/engines/attempt_processes.h"
#include "launcher/engines/process_table.h"
#include "launcher/evidence_sentences.h"
#include "launcher/run_directory_state.h"

namespace ftl {
namespace {

namespace asio = boost::asio;

constexpr auto tick_every = std::chrono::milliseconds(50);
constexpr Duration status_every = std::chrono::milliseconds(200);

class Shell {
 public:
  Shell(const ShellOptions& options, const ShellCallbacks& callbacks, RunDirectory& directory, Progress& progress)
      : options_(options),
        callbacks_(callbacks),
        directory_(directory),
        progress_(progress),
        supervisor_(options.supervisor),
        signals_(io_, SIGINT, SIGTERM, SIGQUIT),
        children_(io_, SIGCHLD),
        timer_(io_) {}
  Result<int> run();

 private:
  void wait_for_signal();
  void wait_for_child();
  void wait_for_tick();
  void deliver(Event event);
  void carry_out(const std::vector<Command>& commands);
  void publish_status(bool now);
  void leave_directory();
  void note(const Result<Done>& written);

  void carry_out(const StartAttempt& command);
  void carry_out(const StopRanks&) {
    if (processes_) processes_->stop_ranks();
  }
  void carry_out(const KillRanks&) {
    if (processes_) processes_->kill_ranks();
  }
  void carry_out(const DismissKeepers& command);
  void carry_out(const DestroyAttempt& command);
  void carry_out(const NameSurvivors& command);
  void carry_out(const PublishVerdict& command);
  void carry_out(const PublishEvent& command);
  void carry_out(const PublishStep& command);
  void carry_out(const PublishEvaluation& command);
  void carry_out(const DropStepsBeyond& command) {
    if (const auto dropped = directory_.restore_metrics(command.step, {}); !dropped) note(dropped.error());
  }
  void carry_out(const Finish& command);

  Result<Done> start_attempt(const StartAttempt& command);
  AttemptSink sink_of(Attempt attempt);

  const ShellOptions& options_;
  const ShellCallbacks& callbacks_;
  RunDirectory& directory_;
  Progress& progress_;
  Supervisor supervisor_;
  SystemClock clock_;
  asio::io_context io_{1};
  asio::signal_set signals_;
  asio::signal_set children_;
  asio::steady_timer timer_;
  std::unique_ptr<AttemptProcesses> processes_;
  std::unique_ptr<AttemptProcesses> old_processes_;  // replaced while one of its own callbacks may be running
  std::deque<Event> events_;                         // arrived while another one is being handled
  bool delivering_ = false;
  Attempt attempt_{1};
  int stops_ = 0;
  TimePoint status_at_;
  std::optional<Finish> finish_;
  bool storage_complained_ = false;
};

Result<int> Shell::run() {
  // Orphaned keepers come to us and are reaped, whatever the first process of this machine does.
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);
  // nohup asks for a run that the end of its terminal does not touch.
  struct sigaction hangup {};
  ::sigaction(SIGHUP, nullptr, &hangup);
  if (hangup.sa_handler != SIG_IGN) signals_.add(SIGHUP);
  wait_for_signal();
  wait_for_child();
  wait_for_tick();
  carry_out(supervisor_.start(clock_.now()));
  publish_status(true);
  while (!finish_) {
    if (io_.run_one() == 0) break;  // never: a tick is always pending
  }
  processes_.reset();
  note(directory_.flush_metrics());
  publish_status(true);
  if (!finish_)
    return Failure{FaultKind::internal_error, "the launcher ran out of events before the run had ended", "", ""};
  return finish_->exit_code;
}

void Shell::wait_for_signal() {
  signals_.async_wait([this](boost::system::error_code error, int signal) {
    if (error) return;
    wait_for_signal();
    deliver(StopRequested{++stops_, signal_name(signal)});
  });
}

void Shell::wait_for_child() {
  children_.async_wait([this](boost::system::error_code error, int) {
    if (error) return;
    wait_for_child();
    if (processes_) processes_->look(clock_.now());
  });
}

void Shell::wait_for_tick() {
  timer_.expires_after(tick_every);
  timer_.async_wait([this](boost::system::error_code error) {
    if (error) return;
    wait_for_tick();
    if (processes_) processes_->look(clock_.now());
    deliver(Tick{});
    publish_status(false);
  });
}

// Carrying out a command can itself cause an event. It waits for its turn: the supervisor sees one at a time.
void Shell::deliver(Event event) {
  events_.push_back(std::move(event));
  if (delivering_) return;
  delivering_ = true;
  while (!events_.empty() && !finish_) {
    const Event next = std::move(events_.front());
    events_.pop_front();
    carry_out(supervisor_.on(next, clock_.now()));
  }
  delivering_ = false;
}

void Shell::carry_out(const std::vector<Command>& commands) {
  for (const Command& command : commands) {
    std::visit([this](const auto& each) { carry_out(each); }, command);
  }
}

// The run goes on when a line cannot be written: the ranks' work is worth more than its record.
void Shell::note(const Result<Done>& written) {
  if (written || storage_complained_) return;
  storage_complained_ = true;
  progress_.always_say(describe(written.error()));
}

void Shell::publish_status(bool now) {
  if (!now && clock_.now() - status_at_ < status_every) return;
  status_at_ = clock_.now();
  if (!directory_.is_still_ours()) return leave_directory();
  const RunStatus status = supervisor_.status();
  note(directory_.write_status(status));
  progress_.on_status(status);
}

// Another launcher may be about to make the directory anew: this run ends, whatever it was doing.
void Shell::leave_directory() {
  if (finish_) return;
  const Result<Done> refused = directory_.write_status(supervisor_.status());
  if (!refused) progress_.always_say(describe(refused.error()));
  finish_ = Finish{exit_code(FaultKind::storage_failed), ""};
}

AttemptSink Shell::sink_of(Attempt attempt) {
  AttemptSink sink;
  sink.event = [this](Event event) { deliver(std::move(event)); };
  sink.log = [this, attempt](Rank rank, const std::vector<std::string>& lines, std::int64_t dropped) {
    note(directory_.append_log(attempt, rank, lines, dropped));
  };
  sink.engine_log = [this, attempt](const std::string& line) { note(directory_.append_engine_log(attempt, line)); };
  sink.ring = [this, attempt](Rank rank, const std::string& bytes) {
    note(directory_.write_ring(attempt, rank, bytes));
  };
  return sink;
}

Result<Done> Shell::start_attempt(const StartAttempt& command) {
  ProcessSpec spec = options_.spec;
  spec.attempt = command.attempt;
  spec.micro_batch = command.micro_batch;
  spec.faults = command.faults;
  spec.accepted_spike = command.accepted_spike;
  const auto resume = callbacks_.choose_resume(command);
  if (!resume) return resume.error();
  spec.resume_from = *resume;
  const auto prepared = prepare_attempt(spec.state_directory, command.attempt);
  if (!prepared) return prepared.error();
  EngineRequest request;
  request.kind = options_.engine;
  request.mpirun = options_.mpirun;
  request.keeper = options_.keeper;
  request.spec_path = spec.attempt_directory() + "/spec.json";
  request.rank_command = options_.rank_program;
  request.rank_command.insert(request.rank_command.end(), {"--spec", request.spec_path});
  request.marker = attempt_marker(spec.run_id, spec.attempt);
  request.scratch_directory = spec.attempt_directory();
  request.hostfile = options_.hostfile;
  request.world = spec.world;
  request.root = ::geteuid() == 0;
  request.environment = options_.rank_environment;
  std::ofstream file(request.spec_path, std::ios::trunc);
  file << to_json(spec);
  if (!file.flush())
    return Failure{FaultKind::launch_failed, "the spec of the attempt cannot be written", request.spec_path, ""};
  auto started = AttemptProcesses::start(io_, std::move(request), command.attempt, options_.listen_address,
                                         sink_of(command.attempt));
  if (!started) return started.error();
  processes_ = std::move(*started);
  return Done{};
}

void Shell::carry_out(const StartAttempt& command) {
  attempt_ = command.attempt;
  old_processes_ = std::move(processes_);
  // Also claims the attempt's number: no later launcher of this directory uses it again.
  note(directory_.append_engine_log(command.attempt,
                                    "ftlaunch: starting by the engine " + std::string(name_of(options_.engine))));
  const auto started = start_attempt(command);
  if (started) return deliver(EngineStarted{command.attempt, processes_->engine_pid()});
  // To the supervisor it is an engine that ended at once; its last lines say why.
  note(directory_.append_engine_log(command.attempt, describe(started.error())));
  deliver(EngineExited{command.attempt, ExitStatus{false, 127, false}, {describe(started.error())}});
}

void Shell::carry_out(const DismissKeepers& command) {
  if (processes_)
    processes_->dismiss();
  else
    deliver(AttemptGone{command.attempt});  // it was never there
}

void Shell::carry_out(const DestroyAttempt& command) {
  if (processes_)
    processes_->destroy();
  else
    deliver(AttemptGone{command.attempt});
}

void Shell::carry_out(const NameSurvivors& command) {
  std::string left;
  for (const ProcessStat& process : processes_ ? processes_->survivors() : std::vector<ProcessStat>()) {
    left += fmt::format("{}pid {} ({})", left.empty() ? "" : ", ", process.pid, in_words(process.state));
  }
  if (left.empty()) left = "keepers that no longer answer, and their ranks";
  note(directory_.append_event("survivors", left, -1, command.attempt));
  progress_.always_say(fmt::format("attempt {} was killed, but is not gone: {}", command.attempt.value, left));
}

void Shell::carry_out(const PublishVerdict& command) {
  Verdict verdict = command.verdict;
  verdict.time = utc_now();
  const auto name = directory_.write_verdict(verdict);
  if (!name) note(name.error());
  note(directory_.append_event("verdict", std::string(info(verdict.kind).name) + (name ? " " + *name : ""), -1,
                               attempt_));
  progress_.on_verdict(verdict);
}

void Shell::carry_out(const PublishEvent& command) {
  note(directory_.append_event(command.name, command.detail, command.rank, attempt_));
}

void Shell::carry_out(const PublishStep& command) {
  note(directory_.append_step(command.step));
  progress_.on_step(command.step, clock_.now());
}

void Shell::carry_out(const PublishEvaluation& command) {
  note(directory_.append_evaluation(command.evaluation));
  progress_.on_evaluation(command.evaluation);
}

void Shell::carry_out(const Finish& command) {
  finish_ = command;
  for (const std::string& fault : supervisor_.status().faults_left) {
    progress_.always_say("planted, and did not fire: --inject " + fault);
  }
  if (!command.message.empty()) progress_.always_say(command.message);
}

}  // namespace

Result<int> run_shell(const ShellOptions& options, const ShellCallbacks& callbacks, RunDirectory& directory,
                      Progress& progress) {
  ::signal(SIGPIPE, SIG_IGN);  // a reader of the output that goes away must not end the run
  return Shell(options, callbacks, directory, progress).run();
}

}  // namespace ftl
