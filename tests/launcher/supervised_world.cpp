#include "tests/launcher/supervised_world.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace ftl {
namespace {

constexpr Duration tick = std::chrono::milliseconds(50);

SupervisorOptions with_world(SupervisorOptions options, int world) {
  options.world = WorldSize{world};
  return options;
}

}  // namespace

SupervisedWorld::SupervisedWorld(int world, SupervisorOptions options)
    : options_(with_world(std::move(options), world)), supervisor_(options_), ranks_(static_cast<std::size_t>(world)) {}

SupervisedWorld& SupervisedWorld::plan(std::int64_t step, int rank, Deed deed) {
  planned_.push_back({step, rank, std::move(deed)});
  return *this;
}

void SupervisedWorld::tell(const Event& event) { obey(supervisor_.on(event, now_)); }

void SupervisedWorld::obey(std::vector<Command> commands) {
  for (const Command& command : commands) {
    if (const auto* start = std::get_if<StartAttempt>(&command)) start_attempt(*start);
    if (std::get_if<KillRanks>(&command)) kill_all();
    if (std::get_if<StopRanks>(&command)) stopping_ = true;
    if (std::get_if<DismissKeepers>(&command) || std::get_if<DestroyAttempt>(&command)) {
      const bool all_end = std::none_of(ranks_.begin(), ranks_.end(), [](const auto& rank) { return rank.unkillable; });
      if (all_end) {
        for (SimulatedRank& rank : ranks_) rank = SimulatedRank{};
        engine_lives_ = false;
        tell(AttemptGone{attempt_});
      }
    }
    if (std::get_if<NameSurvivors>(&command)) ++named_survivors_;
    if (const auto* verdict = std::get_if<PublishVerdict>(&command)) verdicts_.push_back(verdict->verdict);
    if (const auto* step = std::get_if<PublishStep>(&command)) published_.push_back(step->step.step);
    if (const auto* drop = std::get_if<DropStepsBeyond>(&command))
      std::erase_if(published_, [&](auto step) { return step > drop->step; });
    if (const auto* event = std::get_if<PublishEvent>(&command)) events_.push_back(*event);
    if (const auto* finish = std::get_if<Finish>(&command)) exit_code_ = finish->exit_code;
  }
}

void SupervisedWorld::start_attempt(const StartAttempt& command) {
  EXPECT_FALSE(engine_lives_) << "two attempts at once";
  attempts_.push_back(command);
  attempt_ = command.attempt;
  engine_lives_ = true;
  stopping_ = false;
  tell(EngineStarted{attempt_, 4000});
  if (failing_launches_ > 0) {
    --failing_launches_;
    engine_lives_ = false;
    return tell(EngineExited{
        attempt_, {false, 1, false}, {launch_error_ + " [" + std::to_string(4000 + attempt_.value) + "]"}});
  }
  for (std::size_t i = 0; i < ranks_.size(); ++i) {
    SimulatedRank& rank = ranks_[i] = SimulatedRank{};
    rank.alive = true;
    rank.ring.rank = Rank{static_cast<std::int32_t>(i)};
    rank.ring.attempt = attempt_;
    rank.ring.step = saved_;
    const int pid = 5000 + 100 * attempt_.value + static_cast<int>(i);
    tell(KeeperConnected{attempt_, rank.ring.rank, "local-" + std::to_string(i / 2), pid - 50});
    tell(RankStarted{attempt_, rank.ring.rank, pid});
    if (static_cast<int>(i) == never_begins_) {
      rank.hung = true;
      continue;
    }
    report(static_cast<int>(i), ReportStarted{pid, "openblas/avx2", "fake", steps_, saved_, 998, 1'000'000});
  }
}

void SupervisedWorld::kill_all() {
  for (int i = 0; i < static_cast<int>(ranks_.size()); ++i) {
    const SimulatedRank& rank = ranks_[static_cast<std::size_t>(i)];
    if (rank.alive && rank.keeper_lives && !rank.keeper_silent && !rank.unkillable)
      end(i, {true, SIGKILL, false}, true);
  }
}

void SupervisedWorld::report(int number, RankReport what) {
  if (ranks_[static_cast<std::size_t>(number)].keeper_silent) return;  // what its rank says stays with it
  tell(RankReported{attempt_, Rank{number}, std::move(what)});
}

void SupervisedWorld::end(int number, ExitStatus status, bool by_keeper, OomEvidence oom,
                          std::vector<std::string> lines) {
  SimulatedRank& rank = ranks_[static_cast<std::size_t>(number)];
  rank.alive = false;
  if (rank.keeper_silent) return;
  ExitEvidence evidence;
  evidence.status = status;
  evidence.pid = 5000 + 100 * attempt_.value + number;
  evidence.killed_by_keeper = by_keeper;
  evidence.ring = rank.ring;
  evidence.oom = std::move(oom);
  evidence.last_lines = std::move(lines);
  tell(RankExited{attempt_, Rank{number}, evidence});
}

void SupervisedWorld::enter(SimulatedRank& rank, Phase phase) {
  rank.ring.phase = phase;
  ++rank.ring.entries;
}

void SupervisedWorld::start_collective(SimulatedRank& rank, std::int64_t step) {
  enter(rank, Phase::reduce);
  RecordedEntry entry;
  entry.kind = EntryKind::collective_started;
  entry.collective = ++rank.ring.collectives_started;
  entry.signature = {Operation::exact_sum, DType::f32, rank.count, 0, step};
  rank.ring.recent.push_back(entry);
  if (rank.ring.recent.size() > 8) rank.ring.recent.erase(rank.ring.recent.begin());
  ++rank.ring.entries;
}

bool SupervisedWorld::may_complete(const SimulatedRank& rank) const {
  return std::all_of(ranks_.begin(), ranks_.end(), [&](const SimulatedRank& peer) {
    if ((!peer.alive && !peer.finished) || peer.ring.collectives_started < rank.ring.collectives_started) return false;
    return peer.ring.collectives_started > rank.ring.collectives_started ||
           peer.ring.recent.back().signature == rank.ring.recent.back().signature;
  });
}

void SupervisedWorld::complete_step(int number) {
  SimulatedRank& rank = ranks_[static_cast<std::size_t>(number)];
  ++rank.ring.step;
  enter(rank, Phase::optimizer);
  rank.moment = 0;
  saved_ = std::max(saved_, rank.ring.step);
  report(number, ReportStep{rank.ring.step, 1.0, 1.0, 1e-4, 100, 0.4, rank.own_seconds, 25});
}

void SupervisedWorld::finish_rank(int number, bool stopped) {
  ranks_[static_cast<std::size_t>(number)].finished = true;
  report(number, ReportFinished{ranks_[static_cast<std::size_t>(number)].ring.step, stopped});
  if (linger_)
    ranks_[static_cast<std::size_t>(number)].hung = true;
  else
    end(number, {false, 0, false}, false);
}

void SupervisedWorld::do_planned(int number) {
  for (std::size_t i = 0; i < planned_.size(); ++i) {
    if (planned_[i].done || planned_[i].rank != number ||
        planned_[i].step != ranks_[static_cast<std::size_t>(number)].ring.step + 1)
      continue;
    planned_[i].done = true;
    const Deed deed = planned_[i].deed;
    deed(*this, Rank{number});
    return;
  }
}

void SupervisedWorld::step_rank(int number) {
  SimulatedRank& rank = ranks_[static_cast<std::size_t>(number)];
  if (!rank.alive || rank.stopped || rank.hung) return;
  if (rank.ring.collectives_started > rank.ring.collectives_completed) {
    if (!may_complete(rank)) return;
    ++rank.ring.collectives_completed;
    ++rank.ring.entries;
    complete_step(number);
  }
  if (rank.ring.step >= steps_ || (stopping_ && rank.moment == 0 && rank.ring.step == saved_))
    return finish_rank(number, rank.ring.step < steps_);
  rank.cpu += 0.045;
  switch (++rank.moment) {
    case 1: enter(rank, Phase::data); break;
    case 2: enter(rank, Phase::forward); break;
    case 4:
      enter(rank, Phase::backward);
      do_planned(number);
      break;
    case 7:
      if (rank.omit) {
        rank.omit = false;
        complete_step(number);
        break;
      }
      start_collective(rank, rank.ring.step + 1 + (rank.skip ? 1 : 0));
      break;
    default: ++rank.ring.heartbeat; break;
  }
}

void SupervisedWorld::tick_ranks() {
  for (int i = 0; i < static_cast<int>(ranks_.size()) && engine_lives_; ++i) step_rank(i);
  if (++ticks_ % 2 != 0) return;
  for (std::size_t i = 0; i < ranks_.size(); ++i) {
    const SimulatedRank& rank = ranks_[i];
    if (!rank.alive || !rank.keeper_lives || rank.keeper_silent) continue;
    Pulse pulse;
    pulse.state = rank.stopped ? ProcessState::stopped : ProcessState::sleeping;
    pulse.ring = rank.ring;
    pulse.ring_readable = true;
    pulse.cpu_seconds = rank.cpu;
    tell(RankPulse{attempt_, Rank{static_cast<std::int32_t>(i)}, pulse});
  }
}

void SupervisedWorld::run(double for_seconds) {
  if (attempts_.empty()) obey(supervisor_.start(now_));
  for (const TimePoint end = now_ + std::chrono::duration_cast<Duration>(std::chrono::duration<double>(for_seconds));
       now_ < end && !finished();) {
    now_ = now_ + tick;
    tick_ranks();
    tell(Tick{});
  }
}

void SupervisedWorld::run_until_finished(double at_most_seconds) {
  run(at_most_seconds);
  EXPECT_TRUE(finished()) << "still going after " << at_most_seconds << " s";
}

void SupervisedWorld::suspend(double for_seconds) {
  now_ = now_ + std::chrono::duration_cast<Duration>(std::chrono::duration<double>(for_seconds));
}

void SupervisedWorld::signal(int count, const std::string& reason) { tell(StopRequested{count, reason}); }

bool SupervisedWorld::has_event(const std::string& name) const {
  return std::any_of(events_.begin(), events_.end(), [&](const PublishEvent& event) { return event.name == name; });
}

// ---- deeds

using Deed = SupervisedWorld::Deed;

Deed SupervisedWorld::is_killed_by(int signal, OomEvidence oom) {
  return [=](SupervisedWorld& world, Rank rank) { world.end(rank.value, {true, signal, false}, false, oom); };
}
Deed SupervisedWorld::exits_with(int code, std::vector<std::string> lines) {
  return [=](SupervisedWorld& world, Rank rank) { world.end(rank.value, {false, code, false}, false, {}, lines); };
}
Deed SupervisedWorld::stops() {
  return [](SupervisedWorld& world, Rank rank) { world.ranks_[static_cast<std::size_t>(rank.value)].stopped = true; };
}
Deed SupervisedWorld::hangs_before_collective() {
  return [](SupervisedWorld& world, Rank rank) { world.ranks_[static_cast<std::size_t>(rank.value)].hung = true; };
}
Deed SupervisedWorld::skips_collective() {
  return [](SupervisedWorld& world, Rank rank) { world.ranks_[static_cast<std::size_t>(rank.value)].skip = true; };
}
Deed SupervisedWorld::goes_on_without_collective() {
  return [](SupervisedWorld& world, Rank rank) { world.ranks_[static_cast<std::size_t>(rank.value)].omit = true; };
}
Deed SupervisedWorld::calls_with_count(std::uint64_t count) {
  return [=](SupervisedWorld& world, Rank rank) { world.ranks_[static_cast<std::size_t>(rank.value)].count = count; };
}
Deed SupervisedWorld::reports(FaultKind kind, const std::string& what, const std::string& where) {
  return [=](SupervisedWorld& world, Rank rank) {
    world.report(rank.value,
                 ReportFailure{{kind, what, where, ""}, world.ranks_[static_cast<std::size_t>(rank.value)].ring.step});
    world.end(rank.value, {false, 4, false}, false);
  };
}
Deed SupervisedWorld::everyone_reports(FaultKind kind, const std::string& what) {
  return [=](SupervisedWorld& world, Rank) {
    for (int i = 0; i < static_cast<int>(world.ranks_.size()); ++i)
      reports(kind, what, "rank " + std::to_string(i))(world, Rank{i});
  };
}
Deed SupervisedWorld::everyone_sees(FaultKind kind, const std::string& what) {
  return [=](SupervisedWorld& world, Rank rank) {
    for (int i = 0; i < static_cast<int>(world.ranks_.size()); ++i)
      reports(kind, what, Rank{i} == rank ? "rank " + std::to_string(i) + ", step 6" : "step 6")(world, Rank{i});
  };
}
SupervisedWorld::Deed SupervisedWorld::becomes_slow() {
  return
      [](SupervisedWorld& world, Rank rank) { world.ranks_[static_cast<std::size_t>(rank.value)].own_seconds = 0.35; };
}

Deed SupervisedWorld::loses_its_keeper() {
  return [](SupervisedWorld& world, Rank rank) {
    world.ranks_[static_cast<std::size_t>(rank.value)].keeper_lives = false;
    world.ranks_[static_cast<std::size_t>(rank.value)].alive = false;
    world.tell(KeeperLost{world.attempt_, rank, "end of file"});
  };
}
Deed SupervisedWorld::loses_its_connection() {
  return [](SupervisedWorld& world, Rank rank) {
    world.tell(KeeperLost{world.attempt_, rank, "end of file"});
    world.tell(KeeperConnected{world.attempt_, rank, "local-0", 4100 + rank.value, true});
    world.end(rank.value, {true, SIGKILL, false}, true);
  };
}
Deed SupervisedWorld::keeper_is_stopped() {
  return [](SupervisedWorld& world, Rank rank) {
    world.ranks_[static_cast<std::size_t>(rank.value)].keeper_silent = true;
  };
}
Deed SupervisedWorld::engine_is_killed() {
  return [](SupervisedWorld& world, Rank) {
    for (int i = 0; i < static_cast<int>(world.ranks_.size()); ++i) world.end(i, {true, SIGTERM, false}, false);
    world.tell(EngineExited{world.attempt_, {true, SIGKILL, false}, {}});
  };
}
Deed SupervisedWorld::outlives_every_signal() {
  return
      [](SupervisedWorld& world, Rank rank) { world.ranks_[static_cast<std::size_t>(rank.value)].unkillable = true; };
}
Deed SupervisedWorld::cannot_be_ended() {
  return [](SupervisedWorld& world, Rank rank) {
    SimulatedRank& it = world.ranks_[static_cast<std::size_t>(rank.value)];
    it.hung = it.unkillable = true;
  };
}
Deed SupervisedWorld::announces(const std::string& spec, Deed then) {
  return [=](SupervisedWorld& world, Rank rank) {
    world.report(rank.value, ReportFaultFired{spec, world.ranks_[static_cast<std::size_t>(rank.value)].ring.step + 1});
    then(world, rank);
  };
}

}  // namespace ftl
