// The inside of Supervisor, shared by its two source files: supervisor.cpp (the life of an attempt, judging, teardown)
// and supervisor_events.cpp (what each event and report changes). Private to them.
#pragma once

#include <algorithm>
#include <iterator>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "launcher/classifier.h"
#include "launcher/recovery.h"
#include "launcher/run_ledger.h"
#include "launcher/supervisor.h"
#include "launcher/watchdog.h"

namespace ftl {

namespace supervising {

enum class State : std::uint8_t { running, tearing_down, backing_off, done };
enum class Teardown : std::uint8_t { killing, dismissed, destroyed };

struct Outcome {
  bool restart = false;
  bool complete = false;  // all work is done: a late signal changes nothing
  Duration backoff{};
  int exit_code = 1;
  std::string message;
};

}  // namespace supervising

struct Supervisor::Impl {
  using State = supervising::State;
  using Teardown = supervising::Teardown;
  using Outcome = supervising::Outcome;

  explicit Impl(SupervisorOptions given)
      : options(std::move(given)),
        recovery(options.recovery, options.micro_batch, options.faults, options.accepted_spike),
        watchdog(options.watchdog, options.world),
        stragglers(options.world),
        calls(options.world),
        attempt(options.first_attempt) {}

  // What is known of the attempt.
  SupervisorOptions options;
  Recovery recovery;
  Watchdog watchdog;
  Stragglers stragglers;
  CollectiveLog calls;
  RunLedger ledger;
  Attempt attempt;
  std::vector<RankFacts> ranks;
  std::vector<std::int64_t> steps_of_ranks;
  EngineFacts engine;
  std::vector<Alarm> alarms;
  bool gone = false;      // the shell has seen the end of everything of this attempt
  int started_ranks = 0;  // that have reported their start
  bool stepped = false;   // a step was completed

  // Where in its life the run is.
  State state = State::running;
  Teardown stage = Teardown::killing;
  TimePoint deadline;  // of the teardown's stage, or of the backoff
  int kills_outright = 0;
  std::optional<TimePoint> trouble_since;
  std::optional<TimePoint> mismatch_since;
  Outcome outcome;
  int signals = 0;
  std::string signal_name;
  int verdicts = 0;
  std::vector<std::string> damaged;
  std::vector<Command> commands;

  template <class C>
  void emit(C command) {
    commands.emplace_back(std::move(command));
  }
  void emit_all(std::vector<Command> more) { std::move(more.begin(), more.end(), std::back_inserter(commands)); }
  RankFacts* find(Rank rank) {
    return rank.value >= 0 && rank.value < options.world.value ? &ranks[static_cast<std::size_t>(rank.value)] : nullptr;
  }

  void begin_attempt(TimePoint now);
  void trouble(TimePoint now) {
    if (!trouble_since) trouble_since = now;
  }

  // One overload an event; only events of the present attempt come here.
  void take(const EngineStarted& event, TimePoint) { engine.pid = event.pid; }
  void take(const EngineExited& event, TimePoint now);
  void take(const KeeperConnected& event, TimePoint now);
  void take(const KeeperLost& event, TimePoint now);
  void take(const RankStarted& event, TimePoint now);
  void take(const RankPulse& event, TimePoint now);
  void take(const RankReported& event, TimePoint now);
  void take(const RankExited& event, TimePoint now);
  void take(const AttemptGone&, TimePoint now);
  void take(const StopRequested& event, TimePoint now);
  void take(const Tick&, TimePoint now);

  void hear(RankFacts& rank, const ReportStarted& report, TimePoint now);
  void hear(RankFacts& rank, const ReportStep& report, TimePoint now);
  void hear(RankFacts& rank, const ReportEvaluation& report, TimePoint now);
  void hear(RankFacts& rank, const ReportCheckpoint& report, TimePoint now);
  void hear(RankFacts& rank, const ReportFaultFired& report, TimePoint now);
  void hear(RankFacts& rank, const ReportFailure& report, TimePoint now);
  void hear(RankFacts& rank, const ReportFinished& report, TimePoint now);

  bool concerns_present_attempt(const Event& event) const;
  void advance(TimePoint now);
  bool all_work_done() const;
  bool all_ended_well() const;
  bool only_library_errors() const;
  bool more_will_speak() const;
  void end_well(TimePoint now);
  void judge(TimePoint now);
  int exit_code_for(FaultKind kind) const;
  Evidence evidence(TimePoint now) const;
  std::int64_t trainable() const;
  void publish(Verdict verdict);
  void tear_down(TimePoint now);
  void advance_teardown(TimePoint now);
  void destroy(TimePoint now);
  void give_up_teardown();
  Duration teardown_limit() const;
  void leave_attempt(TimePoint now);
  void end_run();
  void finish_stopped();
  void finish(int exit_code, std::string message);
  int exit_code_of_signal() const { return signals < 2 ? 5 : signal_name == "SIGINT" ? 130 : 143; }
};

}  // namespace ftl
