#include "launcher/supervisor.h"

#include <fmt/format.h>

#include "launcher/supervisor_impl.h"

namespace ftl {
namespace {

constexpr Duration settling = std::chrono::milliseconds(250);
// A library's error comes quickly, the end of the peer that caused it may not: a core dump takes its time. And what all
// ranks see at once need not be told first by the one that caused it.
constexpr Duration longer_settling = std::chrono::seconds(1);
// The end of a process that was killed can take long (much memory to give back); one that nobody waits for any more is
// left sooner.
constexpr int most_kills_outright = 10;
constexpr Duration impatient_teardown_limit = std::chrono::seconds(1);

}  // namespace

using supervising::State;
using supervising::Teardown;

std::string_view name_of(RunState state) {
  switch (state) {
    case RunState::starting: return "starting";
    case RunState::running: return "running";
    case RunState::recovering: return "recovering";
    case RunState::finished: return "finished";
    case RunState::failed: return "failed";
    case RunState::stopped: return "stopped";
  }
  return "failed";
}
// ---- the life of an attempt

void Supervisor::Impl::begin_attempt(TimePoint now) {
  ranks.assign(static_cast<std::size_t>(options.world.value), RankFacts{});
  for (std::size_t i = 0; i < ranks.size(); ++i) {
    ranks[i].rank = Rank{static_cast<std::int32_t>(i)};
    ranks[i].progress_at = ranks[i].pulse_at = now;
  }
  steps_of_ranks.assign(ranks.size(), ledger.newest_step());
  engine = {};
  alarms.clear();
  gone = false;
  started_ranks = 0;
  stepped = false;
  trouble_since.reset();
  mismatch_since.reset();
  outcome = {};
  watchdog.begin_attempt(now);
  stragglers.begin_attempt();
  calls.clear();
  ledger.begin_attempt();
  state = State::running;
  emit(PublishEvent{"attempt_started", fmt::format("attempt {}", attempt.value)});
  emit(StartAttempt{attempt, recovery.micro_batch(), recovery.faults_left(), damaged, recovery.accepted_spike()});
}

bool Supervisor::Impl::concerns_present_attempt(const Event& event) const {
  return std::visit(
      [&](const auto& e) {
        if constexpr (requires { e.attempt; })
          return e.attempt == attempt && (state == State::running || state == State::tearing_down);
        else
          return true;
      },
      event);
}

bool Supervisor::Impl::all_work_done() const {
  return std::all_of(ranks.begin(), ranks.end(), [](const RankFacts& rank) { return rank.finished.has_value(); });
}

// A rank whose work is done only says good-bye to its peers. When one of them is gone or makes no progress in that,
// nobody need wait for the others.
bool Supervisor::Impl::all_ended_well() const {
  if (!all_work_done()) return false;
  const auto gone_for_good = [](const RankFacts& rank) { return rank.exit || rank.keeper_lost; };
  const auto badly = [](const RankFacts& rank) {
    return rank.keeper_lost || (rank.exit && (rank.exit->status.signalled || rank.exit->status.code != 0));
  };
  return !alarms.empty() || std::all_of(ranks.begin(), ranks.end(), gone_for_good) ||
         std::any_of(ranks.begin(), ranks.end(), badly);
}

bool Supervisor::Impl::only_library_errors() const {
  return std::all_of(ranks.begin(), ranks.end(),
                     [](const RankFacts& rank) {
                       if (rank.failure) return rank.failure->failure.kind == FaultKind::communication_failure;
                       return !rank.exit && !rank.keeper_lost;
                     }) &&
         !engine.exit;
}

bool Supervisor::Impl::more_will_speak() const {
  const auto saw_a_bad_sum = [](const RankFacts& rank) {
    if (!rank.failure) return false;
    const FaultKind kind = rank.failure->failure.kind;
    return kind == FaultKind::loss_not_finite || kind == FaultKind::loss_spike;
  };
  const auto is_silent = [](const RankFacts& rank) { return !rank.failure && !rank.exit && !rank.keeper_lost; };
  return std::ranges::any_of(ranks, saw_a_bad_sum) && std::ranges::any_of(ranks, is_silent);
}

void Supervisor::Impl::advance(TimePoint now) {
  if (state == State::running) {
    if (all_ended_well()) return end_well(now);
    const Duration wait = only_library_errors() || more_will_speak() ? longer_settling : settling;
    if (trouble_since && (gone || now - *trouble_since >= wait)) judge(now);
  }
  if (state == State::tearing_down) advance_teardown(now);
  if (state == State::backing_off && now >= deadline) {
    attempt = Attempt{attempt.value + 1};
    begin_attempt(now);
  }
}

void Supervisor::Impl::end_well(TimePoint now) {
  const bool stopped =
      std::any_of(ranks.begin(), ranks.end(), [](const RankFacts& rank) { return rank.finished->stopped; });
  if (stopped) {
    if (signals == 0) signal_name = "a signal that was sent to a rank";
    Evidence known = evidence(now);
    known.stop_reason = signal_name;
    known.engine.exit.reset();  // it may end as soon as its ranks have
    publish(classify(known));
    outcome = {false, true, Duration{}, 5,
               fmt::format("stopped on request after step {}; the same command resumes", ledger.newest_step())};
  } else {
    outcome = {false, true, Duration{}, 0, fmt::format("finished: {} steps", ledger.newest_step())};
  }
  state = State::tearing_down;
  stage = Teardown::dismissed;
  deadline = now + teardown_limit();
  kills_outright = 0;
  emit(DismissKeepers{attempt});
  if (gone) leave_attempt(now);
}

// ---- judging

std::int64_t Supervisor::Impl::trainable() const {
  std::int64_t parameters = 0;
  for (const RankFacts& rank : ranks) parameters = std::max(parameters, rank.trainable);
  return parameters;
}

Evidence Supervisor::Impl::evidence(TimePoint now) const {
  Evidence known;
  known.attempt = attempt;
  known.step = ledger.newest_step();
  known.ranks = ranks;
  for (RankFacts& rank : known.ranks) rank.progress_at = watchdog.last_progress(rank.rank);
  known.engine = engine;
  known.alarms = alarms;
  known.mismatch = calls.find_mismatch(trainable());
  if (signals > 0) known.stop_reason = signal_name;
  known.now = now;
  return known;
}

void Supervisor::Impl::publish(Verdict verdict) {
  ++verdicts;
  emit(PublishVerdict{std::move(verdict)});
}

// A run that was under way ends as failed (4) and not as refused, whatever kind of failure a rank named.
int Supervisor::Impl::exit_code_for(FaultKind kind) const {
  const int code = exit_code(kind);
  const bool refusal = code == 2 || code == 3;
  return refusal && ledger.steps() > 0 ? 4 : code;
}

void Supervisor::Impl::judge(TimePoint now) {
  Verdict verdict = classify(evidence(now));
  if (verdict.kind == FaultKind::checkpoint_corrupt) {
    for (const RankFacts& rank : ranks) {
      if (rank.failure && !rank.failure->failure.where.empty()) damaged.push_back(rank.failure->failure.where);
    }
  }
  RecoveryDecision decision = recovery.decide(verdict);
  if (signals > 0) decision = {RecoveryAction::stop, false, Duration{}, "ftlaunch was asked to stop"};
  verdict.action = decision.action;
  if (!decision.why.empty()) verdict.evidence.push_back({"recovery", decision.why});
  trouble_since.reset();
  mismatch_since.reset();
  const FaultInfo& fault = info(verdict.kind);
  outcome = {decision.restart, false, decision.backoff, signals > 0 ? 5 : exit_code_for(verdict.kind),
             fmt::format("ended by {} after step {}: {}", fault.name, verdict.step, fault.sentence)};
  publish(std::move(verdict));
  tear_down(now);
}

// ---- teardown

void Supervisor::Impl::tear_down(TimePoint now) {
  state = State::tearing_down;
  stage = Teardown::killing;
  deadline = now + teardown_limit();
  kills_outright = 0;
  emit(KillRanks{attempt});
}

Duration Supervisor::Impl::teardown_limit() const {
  return signals > 1 ? std::min(impatient_teardown_limit, options.teardown_limit) : options.teardown_limit;
}

void Supervisor::Impl::destroy(TimePoint now) {
  if (kills_outright >= (signals > 1 ? 1 : most_kills_outright)) return give_up_teardown();
  ++kills_outright;
  stage = Teardown::destroyed;
  deadline = now + teardown_limit();
  emit(DestroyAttempt{attempt});
}

// Something of the attempt can be killed no more and is still there. The run ends with what is known; a new attempt
// beside it could meet it in a device, a port or a file.
void Supervisor::Impl::give_up_teardown() {
  emit(PublishEvent{"teardown_given_up", fmt::format("attempt {}", attempt.value)});
  emit(NameSurvivors{attempt});
  end_run();
}

void Supervisor::Impl::advance_teardown(TimePoint now) {
  if (gone) return leave_attempt(now);
  if (stage == Teardown::killing) {
    const bool confirmed =
        std::all_of(ranks.begin(), ranks.end(), [](const RankFacts& rank) { return rank.exit.has_value(); });
    // A keeper that is lost or never came confirms nothing; when only such are left, waiting for them is in vain.
    const bool owed = std::any_of(ranks.begin(), ranks.end(), [](const RankFacts& rank) {
      return rank.connected && !rank.keeper_lost && !rank.exit;
    });
    if (confirmed) {
      stage = Teardown::dismissed;
      deadline = now + teardown_limit();
      emit(DismissKeepers{attempt});
    } else if (!owed) {
      destroy(now);
    }
  }
  if (now >= deadline) destroy(now);
}

void Supervisor::Impl::leave_attempt(TimePoint now) {
  emit(PublishEvent{"attempt_ended", fmt::format("attempt {}", attempt.value)});
  if (outcome.restart && signals == 0) {
    state = State::backing_off;
    deadline = now + outcome.backoff;
    return;
  }
  end_run();
}

void Supervisor::Impl::end_run() {
  // A verdict that had ended the run before anybody asked it to stop stands.
  const bool ended_by_request = outcome.restart || outcome.exit_code == 5;
  if (signals > 0 && !outcome.complete && ended_by_request) return finish_stopped();
  finish(signals > 1 && outcome.exit_code == 5 ? exit_code_of_signal() : outcome.exit_code, outcome.message);
}

void Supervisor::Impl::finish_stopped() {
  finish(exit_code_of_signal(),
         fmt::format("stopped by {} after step {}; the same command resumes", signal_name, ledger.newest_step()));
}

void Supervisor::Impl::finish(int exit_code, std::string message) {
  state = State::done;
  outcome.exit_code = exit_code;
  for (const FaultSpec& fault : recovery.faults_never_fired()) {
    const std::string rank = fmt::format("planted for step {} of rank {}", fault.step, fault.rank.value);
    emit(PublishEvent{"fault_not_fired", fmt::format("{} ({})", fault.text, rank), fault.rank.value});
  }
  emit(Finish{exit_code, std::move(message)});
}
// ---- the contract

Supervisor::Supervisor(SupervisorOptions options) : impl_(std::make_unique<Impl>(std::move(options))) {}
Supervisor::~Supervisor() = default;

std::vector<Command> Supervisor::start(TimePoint now) {
  impl_->begin_attempt(now);
  return std::exchange(impl_->commands, {});
}

std::vector<Command> Supervisor::on(const Event& event, TimePoint now) {
  if (finished() || !impl_->concerns_present_attempt(event)) return {};
  std::visit([&](const auto& e) { impl_->take(e, now); }, event);
  if (!finished()) impl_->advance(now);
  return std::exchange(impl_->commands, {});
}

bool Supervisor::finished() const { return impl_->state == State::done; }

RunStatus Supervisor::status() const {
  const Impl& run = *impl_;
  RunStatus status;
  status.attempt = run.attempt;
  status.step = run.ledger.newest_step();
  status.steps = run.ledger.steps();
  status.verdicts = run.verdicts;
  for (const FaultSpec& fault : run.recovery.faults_never_fired()) status.faults_left.push_back(fault.text);
  const int code = run.outcome.exit_code;
  const bool recovering = run.attempt != run.options.first_attempt || run.state == State::backing_off;
  if (run.state == State::done)
    status.state = code == 0                                 ? RunState::finished
                   : code == 5 || code == 130 || code == 143 ? RunState::stopped
                                                             : RunState::failed;
  else if (run.state != State::running)
    status.state = run.outcome.complete ? RunState::running : RunState::recovering;
  else if (run.started_ranks >= run.options.world.value)
    status.state = RunState::running;
  else
    status.state = recovering ? RunState::recovering : RunState::starting;
  for (const RankFacts& rank : run.ranks) {
    RankStatus line{rank.rank, rank.node, rank.pid, rank.keeper_pid,
                    run.steps_of_ranks[static_cast<std::size_t>(rank.rank.value)]};
    if (const RingSnapshot* ring = ring_of(rank)) {
      line.phase = ring->phase;
      line.collective = ring->collectives_started;
    }
    const bool alarmed =
        std::any_of(run.alarms.begin(), run.alarms.end(), [&](const Alarm& alarm) { return alarm.rank == rank.rank; });
    line.healthy = !alarmed && !rank.failure && !rank.keeper_lost && !rank.connection_lost &&
                   (!rank.exit || rank.finished.has_value());
    status.ranks.push_back(std::move(line));
  }
  return status;
}

}  // namespace ftl
