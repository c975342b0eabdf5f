#include <fmt/format.h>

#include "launcher/supervisor_impl.h"

namespace ftl {
namespace {

// A difference between ranks is believed when it is still there after a few pulses of both.
constexpr Duration mismatch_confirmed_after = std::chrono::milliseconds(250);

bool is_within(const std::string& path, const std::string& directory) {
  return path == directory || path.starts_with(directory + "/");
}

}  // namespace

using supervising::State;
using supervising::Teardown;

// ---- events

void Supervisor::Impl::take(const EngineExited& event, TimePoint now) {
  engine.exit = event.status;
  engine.exit_at = now;
  engine.last_lines = event.last_lines;
  if (state == State::running && !all_ended_well()) trouble(now);
}

void Supervisor::Impl::take(const KeeperConnected& event, TimePoint now) {
  RankFacts* rank = find(event.rank);
  if (!rank) return;
  rank->connected = true;
  rank->node = event.node;
  rank->keeper_pid = event.keeper_pid;
  if (event.came_back)
    rank->connection_lost = std::exchange(rank->keeper_lost, std::nullopt).value_or("it broke");
  else
    watchdog.keeper_connected(event.rank, now);
  if (state == State::tearing_down && stage == Teardown::killing) emit(KillRanks{attempt});
  if (state == State::running && signals > 0) emit(StopRanks{attempt});
}

void Supervisor::Impl::take(const KeeperLost& event, TimePoint now) {
  RankFacts* rank = find(event.rank);
  if (!rank || rank->keeper_lost) return;
  rank->keeper_lost = event.why;
  rank->keeper_lost_at = now;
  watchdog.gone(event.rank);
  if (state == State::running && !rank->exit && !rank->finished) trouble(now);
}

void Supervisor::Impl::take(const RankStarted& event, TimePoint now) {
  RankFacts* rank = find(event.rank);
  if (!rank) return;
  rank->pid = event.pid;
  watchdog.rank_started(event.rank, now);
}

void Supervisor::Impl::take(const RankPulse& event, TimePoint now) {
  RankFacts* rank = find(event.rank);
  if (!rank || rank->exit) return;
  Pulse pulse = event.pulse;
  pulse.ring_readable = pulse.ring_readable && pulse.ring.attempt == attempt;
  if (pulse.ring_readable) calls.add(event.rank, pulse.ring);
  watchdog.pulse(event.rank, pulse, now);
  rank->pulse = std::move(pulse);
  rank->pulse_at = now;
}

void Supervisor::Impl::take(const RankReported& event, TimePoint now) {
  RankFacts* rank = find(event.rank);
  if (rank) std::visit([&](const auto& report) { hear(*rank, report, now); }, event.report);
}

void Supervisor::Impl::take(const RankExited& event, TimePoint now) {
  RankFacts* rank = find(event.rank);
  if (!rank || rank->exit) return;
  rank->exit = event.evidence;
  rank->exit_at = now;
  if (rank->pid == 0) rank->pid = event.evidence.pid;
  if (rank->exit->ring && rank->exit->ring->attempt != attempt) rank->exit->ring.reset();
  if (rank->exit->ring) calls.add(event.rank, *rank->exit->ring);
  watchdog.gone(event.rank);
  if (state != State::running) return;
  const ExitStatus& status = event.evidence.status;
  if (event.evidence.killed_by_keeper && !rank->finished && !rank->keeper_lost && !rank->connection_lost) {
    // Nobody here had asked for it: the keeper was told to end from outside (by its engine, or by hand).
    rank->keeper_lost = "it was told to end by a signal that ftlaunch had not sent, and took its rank with it";
    rank->keeper_lost_at = now;
  }
  if (!rank->finished)
    trouble(now);
  else if (status.signalled || status.code != 0) {
    // Its work was done and reported, so nobody needs it any more.
    emit(PublishEvent{
        "ended_after_finishing",
        status.signalled ? fmt::format("by signal {}", status.code) : fmt::format("with code {}", status.code),
        event.rank.value});
  }
}

void Supervisor::Impl::take(const AttemptGone&, TimePoint now) {
  gone = true;
  if (state == State::running && !all_ended_well()) trouble(now);
}

void Supervisor::Impl::take(const StopRequested& event, TimePoint now) {
  signals = std::max(signals + 1, event.count);
  signal_name = event.reason;
  emit(PublishEvent{"stop_requested", event.reason});
  if (state == State::backing_off) return finish_stopped();
  if (state == State::tearing_down && signals > 1)
    return stage == Teardown::destroyed ? give_up_teardown() : destroy(now);
  if (state != State::running) return;
  // Before an attempt's first step there is nothing that the one before it, or nobody, had not saved; and a rank that
  // cannot begin could not finish a step either.
  if (signals == 1 && stepped) return emit(StopRanks{attempt});
  judge(now);
}

void Supervisor::Impl::take(const Tick&, TimePoint now) {
  if (state != State::running) return;
  alarms = watchdog.tick(now);
  if (all_ended_well()) return;
  if (!calls.find_mismatch(trainable()))
    mismatch_since.reset();
  else if (!mismatch_since)
    mismatch_since = now;
  const bool confirmed = mismatch_since && now - *mismatch_since >= mismatch_confirmed_after;
  // A watchdog's limit has passed or a difference has lasted: nothing is won by settling once more.
  if (confirmed || (!alarms.empty() && !trouble_since)) judge(now);
}

// ---- reports

void Supervisor::Impl::hear(RankFacts& rank, const ReportStarted& report, TimePoint) {
  if (rank.pid == 0) rank.pid = report.pid;
  rank.trainable = report.trainable;
  ++started_ranks;
  emit_all(ledger.started(report));
}

void Supervisor::Impl::hear(RankFacts& rank, const ReportStep& report, TimePoint now) {
  steps_of_ranks[static_cast<std::size_t>(rank.rank.value)] = report.step;
  stepped = true;
  watchdog.step_completed(report.seconds);
  recovery.step_completed(report.step);
  emit_all(ledger.step_completed(report));
  const auto slow = stragglers.step_reported(rank.rank, report.step, report.own_seconds, report.own_tokens);
  if (slow && state == State::running) publish(classify(evidence(now), *slow));
}

void Supervisor::Impl::hear(RankFacts&, const ReportEvaluation& report, TimePoint) {
  emit_all(ledger.evaluated(report));
}

void Supervisor::Impl::hear(RankFacts& rank, const ReportCheckpoint& report, TimePoint) {
  // What was damaged under this name has been replaced by a checkpoint that its writer has read back.
  std::erase_if(damaged, [&](const std::string& path) { return is_within(path, report.directory); });
  emit(PublishEvent{"checkpoint", fmt::format("step {} in {}", report.step, report.directory), rank.rank.value});
}

void Supervisor::Impl::hear(RankFacts& rank, const ReportFaultFired& report, TimePoint) {
  recovery.fault_fired(report.spec);
  emit(PublishEvent{"fault_fired", report.spec, rank.rank.value});
}

void Supervisor::Impl::hear(RankFacts& rank, const ReportFailure& report, TimePoint now) {
  if (rank.failure) return;
  rank.failure = report;
  rank.failure_at = now;
  if (state == State::running) trouble(now);
}

void Supervisor::Impl::hear(RankFacts& rank, const ReportFinished& report, TimePoint now) {
  rank.finished = report;
  watchdog.finished(rank.rank, now);
}

}  // namespace ftl
