// The heart of the launcher, and pure: Supervisor::on(event, now) returns commands. No clock, no file, no socket, no
// process in it; the Asio shell turns sockets, exits, timers and signals into events and carries the commands out.
// Simulation and the real launcher run the very same object.
//
//   starting -> running -> tearing_down -> (backing_off -> starting) | finished | failed | stopped
//
// A new attempt is commanded only when every keeper of the old one has confirmed that its rank is dead and reaped, or
// the teardown deadline has passed and the shell was commanded to kill engine and keepers outright. What survives even
// that (a process that the kernel does not let go) is named and ends the run: nothing is started beside it.
//
// Events of another attempt than the present one are ignored. Several things that go wrong at once are one failure: the
// first of them opens a short time of settling, and then all that is known is judged together (launcher/classifier.h).
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "comm/clock.h"
#include "comm/process_spec.h"
#include "comm/report.h"
#include "configs/run_config.h"
#include "failures/verdict.h"
#include "launcher/rank_evidence.h"

namespace ftl {

// ---- events
struct EngineStarted {
  Attempt attempt;
  std::int32_t pid;
};
struct EngineExited {
  Attempt attempt;
  ExitStatus status;
  std::vector<std::string> last_lines;
};
struct KeeperConnected {
  Attempt attempt;
  Rank rank;
  std::string node;
  std::int32_t keeper_pid;
  bool came_back = false;  // after KeeperLost: only the connection was lost; it has killed its rank
};
struct KeeperLost {
  Attempt attempt;
  Rank rank;
  std::string why;
};  // connection ended before the keeper was dismissed
struct RankStarted {
  Attempt attempt;
  Rank rank;
  std::int32_t pid;
};
struct RankPulse {
  Attempt attempt;
  Rank rank;
  Pulse pulse;
};
struct RankReported {
  Attempt attempt;
  Rank rank;
  RankReport report;
};
struct RankExited {
  Attempt attempt;
  Rank rank;
  ExitEvidence evidence;
};  // the rank is dead and reaped: its teardown is confirmed
struct AttemptGone {
  Attempt attempt;
};  // the shell has seen the end of engine and of every keeper (after Dismiss or DestroyAttempt)
struct StopRequested {
  int count;
  std::string reason;
};               // the first, second ... signal that asks to stop; "SIGINT"
struct Tick {};  // every 50 ms
using Event = std::variant<EngineStarted, EngineExited, KeeperConnected, KeeperLost, RankStarted, RankPulse,
                           RankReported, RankExited, AttemptGone, StopRequested, Tick>;

// ---- commands
// The shell picks the newest complete state (hot or durable) but for those that `pass_over` names (ranks found them
// damaged: the state itself, or a file in it), writes the spec and starts the engine.
struct StartAttempt {
  Attempt attempt;
  std::int32_t micro_batch;
  std::vector<FaultSpec> faults;
  std::vector<std::string> pass_over{};
  std::int64_t accepted_spike = 0;  // ProcessSpec::accepted_spike
};
struct StopRanks {
  Attempt attempt;
};  // keepers send SIGTERM to their ranks: finish the step, checkpoint, leave
struct KillRanks {
  Attempt attempt;
};  // keepers SIGKILL the rank's process group, reap, confirm by RankExited
struct DismissKeepers {
  Attempt attempt;
};  // every rank is dead: keepers may exit
struct DestroyAttempt {
  Attempt attempt;
};  // the deadline has passed: the shell kills engine, keepers and ranks by pid
struct NameSurvivors {
  Attempt attempt;
};  // they were killed and are still there: the shell tells their pids and states before the run ends without them
struct PublishVerdict {
  Verdict verdict;
};  // verdicts/<n>.json, events.jsonl, terminal
struct PublishEvent {
  std::string name;
  std::string detail;
  std::int32_t rank = -1;
};  // events.jsonl
struct PublishStep {
  ReportStep step;
};  // metrics.jsonl and progress, once a step (from the first rank that reports it)
struct PublishEvaluation {
  ReportEvaluation evaluation;
};
struct DropStepsBeyond {
  std::int64_t step;
};  // a resume: metrics.jsonl lines beyond the restored step are dropped
struct Finish {
  int exit_code;
  std::string message;
};  // after everything is gone
using Command = std::variant<StartAttempt, StopRanks, KillRanks, DismissKeepers, DestroyAttempt, NameSurvivors,
                             PublishVerdict, PublishEvent, PublishStep, PublishEvaluation, DropStepsBeyond, Finish>;

// ---- status (schema ftlaunch.status/1)
enum class RunState : std::uint8_t { starting, running, recovering, finished, failed, stopped };
std::string_view name_of(RunState state);
struct RankStatus {
  Rank rank;
  std::string node;
  std::int32_t pid = 0;
  std::int32_t keeper_pid = 0;
  std::int64_t step = 0;
  Phase phase = Phase::init;
  std::uint64_t collective = 0;
  bool healthy = true;
};
struct RunStatus {
  RunState state = RunState::starting;
  Attempt attempt{1};
  std::int64_t step = 0;
  std::int64_t steps = 0;
  std::vector<RankStatus> ranks;
  int verdicts = 0;
  std::vector<std::string> faults_left;  // planted by --inject and not fired yet
};

struct SupervisorOptions {
  WorldSize world{1};
  WatchdogConfig watchdog;
  RecoveryConfig recovery;
  std::int32_t micro_batch = 1;
  std::vector<FaultSpec> faults;
  std::int64_t accepted_spike = 0;                    // StartDecision::accepted_spike
  Attempt first_attempt{1};                           // attempts are numbered through the life of the run directory
  Duration teardown_limit = std::chrono::seconds(3);  // of each of its stages, and of each killing outright
};

class Supervisor {
 public:
  explicit Supervisor(SupervisorOptions options);
  ~Supervisor();
  std::vector<Command> start(TimePoint now);
  std::vector<Command> on(const Event& event, TimePoint now);
  RunStatus status() const;
  bool finished() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace ftl
