#include "launcher/classifier.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <functional>
#include <optional>

#include "launcher/evidence_sentences.h"

namespace ftl {
namespace {

using Ranks = std::vector<const RankFacts*>;
using Rule = std::optional<Verdict> (*)(const Evidence&);

// A rank that ended this shortly before engine or keeper were seen to end was ended by the same event: the news race.
constexpr Duration same_event = std::chrono::milliseconds(300);

Ranks ranks_where(const Evidence& evidence, const std::function<bool(const RankFacts&)>& condition) {
  Ranks found;
  for (const RankFacts& rank : evidence.ranks) {
    if (condition(rank)) found.push_back(&rank);
  }
  return found;
}

TimePoint last_sign_of_life(const RankFacts& rank) {
  const TimePoint seen = std::max(rank.progress_at, rank.pulse_at);
  return rank.exit ? std::min(seen, rank.exit_at) : seen;
}

Verdict verdict_about(const Evidence& evidence, FaultKind kind, double confidence, const Ranks& culprits,
                      TimePoint fault_at) {
  Verdict verdict;
  verdict.kind = kind;
  verdict.confidence = confidence;
  verdict.step = evidence.step;
  verdict.attempt = evidence.attempt.value;
  verdict.action = info(kind).action;
  verdict.detected_after_s = std::max(0.0, std::chrono::duration<double>(evidence.now - fault_at).count());
  for (const RankFacts* rank : culprits) verdict.culprits.push_back({rank->rank.value, rank->node, rank->pid});
  for (const RankFacts& rank : evidence.ranks) {
    const bool guilty = std::find(culprits.begin(), culprits.end(), &rank) != culprits.end();
    if (!guilty && !rank.finished) verdict.victims.push_back(rank.rank.value);
  }
  return verdict;
}

void add(Verdict& verdict, std::vector<EvidenceFact> facts) {
  for (EvidenceFact& fact : facts) verdict.evidence.push_back(std::move(fact));
}

TimePoint earliest(const Ranks& ranks, TimePoint (*when)(const RankFacts&)) {
  TimePoint first = when(*ranks.front());
  for (const RankFacts* rank : ranks) first = std::min(first, when(*rank));
  return first;
}

bool ended_badly(const Evidence& evidence, const RankFacts& rank) {
  return rank.exit && !rank.failure && !is_victim_of_teardown(evidence, rank);
}

bool ended_by(const RankFacts& rank, int signal) {
  return rank.exit && rank.exit->status.signalled && rank.exit->status.code == signal;
}

bool is_own_signal(int signal) {
  constexpr std::array own{SIGSEGV, SIGABRT, SIGBUS, SIGILL, SIGFPE, SIGSYS, SIGTRAP};
  return std::find(own.begin(), own.end(), signal) != own.end();
}

// ---- the rules, strongest evidence first

std::optional<Verdict> stopped_on_request(const Evidence& evidence) {
  if (!evidence.stop_reason) return std::nullopt;
  Verdict verdict = verdict_about(evidence, FaultKind::stopped_on_request, 1, {}, evidence.now);
  verdict.victims.clear();
  verdict.evidence.push_back({"ftlaunch", fmt::format("ftlaunch received {} and ended the run after step {}",
                                                      *evidence.stop_reason, evidence.step)});
  return verdict;
}

std::optional<Verdict> killed_for_memory(const Evidence& evidence) {
  const auto by_kernel_log = [&](const RankFacts& rank) {
    return ended_by(rank, SIGKILL) && !rank.exit->killed_by_keeper && !rank.exit->oom.kernel_line.empty();
  };
  const auto by_counter = [&](const RankFacts& rank) {
    return ended_by(rank, SIGKILL) && !rank.exit->killed_by_keeper && rank.exit->oom.cgroup_kills > 0;
  };
  Ranks culprits = ranks_where(evidence, by_kernel_log);
  const bool named = !culprits.empty();
  if (!named) culprits = ranks_where(evidence, by_counter);
  if (culprits.empty()) return std::nullopt;
  Verdict verdict = verdict_about(evidence, FaultKind::rank_killed_by_oom_killer, named ? 0.99 : 0.96, culprits,
                                  earliest(culprits, last_sign_of_life));
  for (const RankFacts* rank : culprits) {
    verdict.evidence.push_back(how_it_ended(*rank));
    add(verdict, memory_facts(*rank));
    verdict.evidence.push_back(what_it_was_doing(*rank, evidence.now));
  }
  verdict.rejected.push_back(
      {FaultKind::rank_killed, "the kernel says that it sent the signal itself, for want of memory"});
  return verdict;
}

std::optional<Verdict> called_something_else(const Evidence& evidence) {
  if (!evidence.mismatch) return std::nullopt;
  const CollectiveMismatch& mismatch = *evidence.mismatch;
  const Ranks culprits = ranks_where(evidence, [&](const RankFacts& rank) {
    return std::find(mismatch.odd.begin(), mismatch.odd.end(), rank.rank) != mismatch.odd.end();
  });
  using By = CollectiveMismatch::DecidedBy;
  const double confidence = mismatch.decided_by == By::majority ? 0.97 : mismatch.decided_by == By::plan ? 0.9 : 0.6;
  Verdict verdict = verdict_about(evidence, FaultKind::collective_mismatch, confidence, culprits,
                                  earliest(culprits, last_sign_of_life));
  add(verdict, signatures_in_words(mismatch));
  if (mismatch.decided_by == By::plan) {
    verdict.evidence.push_back(
        {"classifier", fmt::format("{} left the order that all ranks had kept before", in_words(mismatch.odd))});
  }
  if (mismatch.decided_by == By::nothing)
    verdict.evidence.push_back({"classifier", "which of the ranks is right cannot be told"});
  for (const RankFacts* rank : culprits) verdict.evidence.push_back(what_it_was_doing(*rank, evidence.now));
  verdict.rejected.push_back(
      {FaultKind::rank_stuck,
       fmt::format("{} did start a collective or go on; it was another one", in_words(mismatch.odd))});
  verdict.rejected.push_back({FaultKind::communication_failure,
                              "the ranks asked the library for different things, so its error or silence is correct"});
  return verdict;
}

// "rank 2, step 118": a rank may name another one than itself. -1: none.
std::int32_t rank_named_in(const std::string& where) {
  const std::size_t at = where.find("rank ");
  if (at == std::string::npos) return -1;
  std::int32_t number = 0;
  bool any = false;
  for (std::size_t i = at + 5; i < where.size() && where[i] >= '0' && where[i] <= '9' && number < 10'000'000;
       ++i, any = true) {
    number = number * 10 + (where[i] - '0');
  }
  return any ? number : -1;
}

Verdict reported_by(const Evidence& evidence, const Ranks& reporters, double confidence) {
  // When any of them names a rank, the others only tell what they saw of it.
  const Ranks culprits = ranks_where(evidence, [&](const RankFacts& rank) {
    return std::any_of(reporters.begin(), reporters.end(), [&](const RankFacts* reporter) {
      return rank_named_in(reporter->failure->failure.where) == rank.rank.value;
    });
  });
  const Failure& failure = reporters.front()->failure->failure;
  Verdict verdict = verdict_about(evidence, failure.kind, confidence, culprits.empty() ? reporters : culprits,
                                  earliest(reporters, [](const RankFacts& rank) { return rank.failure_at; }));
  verdict.fix = failure.fix;
  for (const RankFacts* rank : reporters) {
    const Failure& own = rank->failure->failure;
    verdict.evidence.push_back({fmt::format("report/rank-{}", rank->rank.value),
                                own.what + (own.where.empty() ? std::string() : " (" + own.where + ")")});
  }
  return verdict;
}

std::optional<Verdict> said_so_itself(const Evidence& evidence) {
  Ranks reporters = ranks_where(evidence, [](const RankFacts& rank) {
    return rank.failure && rank.failure->failure.kind != FaultKind::communication_failure;
  });
  if (reporters.empty()) return std::nullopt;
  // Ranks that name different kinds: the first one to speak is believed.
  const RankFacts* first = *std::min_element(reporters.begin(), reporters.end(),
                                             [](auto* a, auto* b) { return a->failure_at < b->failure_at; });
  std::erase_if(reporters,
                [&](const RankFacts* rank) { return rank->failure->failure.kind != first->failure->failure.kind; });
  Verdict verdict = reported_by(evidence, reporters, 0.95);
  verdict.rejected.push_back({FaultKind::rank_crashed, "the rank named its failure before it left"});
  return verdict;
}

Verdict died(const Evidence& evidence, FaultKind kind, double confidence, const Ranks& culprits) {
  Verdict verdict = verdict_about(evidence, kind, confidence, culprits, earliest(culprits, last_sign_of_life));
  for (const RankFacts* rank : culprits) {
    verdict.evidence.push_back(how_it_ended(*rank));
    verdict.evidence.push_back(what_it_was_doing(*rank, evidence.now));
    add(verdict, last_words(*rank));
  }
  return verdict;
}

std::optional<Verdict> crashed(const Evidence& evidence) {
  const Ranks culprits = ranks_where(evidence, [&](const RankFacts& rank) {
    return ended_badly(evidence, rank) && rank.exit->status.signalled && is_own_signal(rank.exit->status.code);
  });
  if (culprits.empty()) return std::nullopt;
  Verdict verdict = died(evidence, FaultKind::rank_crashed, 0.95, culprits);
  verdict.rejected.push_back({FaultKind::rank_killed, fmt::format("{} is raised by a process's own doing",
                                                                  signal_name(culprits.front()->exit->status.code))});
  return verdict;
}

std::optional<Verdict> was_killed(const Evidence& evidence) {
  const Ranks culprits = ranks_where(
      evidence, [&](const RankFacts& rank) { return ended_badly(evidence, rank) && rank.exit->status.signalled; });
  if (culprits.empty()) return std::nullopt;
  Verdict verdict = died(evidence, FaultKind::rank_killed, 0.9, culprits);
  verdict.rejected.push_back(
      {FaultKind::rank_killed_by_oom_killer, fmt::format("the oom_kill counter of the cgroup did not rise and the "
                                                         "kernel log that can be read does not name process {}",
                                                         culprits.front()->pid)});
  verdict.rejected.push_back({FaultKind::rank_crashed,
                              fmt::format("{} comes from outside", signal_name(culprits.front()->exit->status.code))});
  return verdict;
}

std::optional<Verdict> left_by_itself(const Evidence& evidence) {
  const Ranks culprits = ranks_where(evidence, [&](const RankFacts& rank) { return ended_badly(evidence, rank); });
  if (culprits.empty()) return std::nullopt;
  Verdict verdict = died(evidence, FaultKind::rank_crashed, 0.85, culprits);
  verdict.rejected.push_back({FaultKind::rank_killed, "no signal ended it"});
  return verdict;
}

std::optional<Verdict> was_stopped(const Evidence& evidence) {
  Ranks culprits;
  Verdict verdict;
  std::vector<EvidenceFact> facts;
  TimePoint since = evidence.now;
  for (const Alarm& alarm : evidence.alarms) {
    if (alarm.cause != AlarmCause::stopped) continue;
    const RankFacts& rank = evidence.ranks[static_cast<std::size_t>(alarm.rank.value)];
    culprits.push_back(&rank);
    facts.push_back(why_alarmed(alarm, rank, evidence.now));
    facts.push_back(what_it_was_doing(rank, evidence.now));
    since = std::min(since, alarm.since);
  }
  if (culprits.empty()) return std::nullopt;
  verdict = verdict_about(evidence, FaultKind::rank_stuck, 0.98, culprits, since);
  add(verdict, std::move(facts));
  verdict.rejected.push_back({FaultKind::rank_killed, "the process is there; something stopped it"});
  verdict.rejected.push_back({FaultKind::collective_mismatch, "all signatures that were seen agree"});
  return verdict;
}

std::optional<Verdict> connection_was_lost(const Evidence& evidence) {
  const Ranks culprits = ranks_where(evidence, [](const RankFacts& rank) { return rank.connection_lost.has_value(); });
  if (culprits.empty()) return std::nullopt;
  Verdict verdict = verdict_about(evidence, FaultKind::communication_failure, 0.9, culprits,
                                  earliest(culprits, [](const RankFacts& rank) { return rank.keeper_lost_at; }));
  for (const RankFacts* rank : culprits) {
    verdict.evidence.push_back(
        {fmt::format("keeper/rank-{}", rank->rank.value),
         fmt::format("the connection to the keeper of rank {} (pid {}) broke while the keeper lived: {}; it killed its "
                     "rank and connected again",
                     rank->rank.value, rank->keeper_pid, *rank->connection_lost)});
    verdict.evidence.push_back(what_it_was_doing(*rank, evidence.now));
  }
  verdict.rejected.push_back({FaultKind::keeper_lost, "the keeper connected again, so it lives"});
  verdict.rejected.push_back(
      {FaultKind::rank_killed, "the rank lived until its keeper ended it for want of the connection"});
  return verdict;
}

std::optional<Verdict> keeper_was_lost(const Evidence& evidence) {
  const auto silent = [&](const RankFacts& rank) {
    return std::any_of(evidence.alarms.begin(), evidence.alarms.end(), [&](const Alarm& alarm) {
      return alarm.cause == AlarmCause::keeper_silent && alarm.rank == rank.rank;
    });
  };
  const Ranks culprits = ranks_where(evidence, [&](const RankFacts& rank) { return rank.keeper_lost || silent(rank); });
  if (culprits.empty()) return std::nullopt;
  Verdict verdict =
      verdict_about(evidence, FaultKind::keeper_lost, 0.9, culprits, earliest(culprits, last_sign_of_life));
  for (const RankFacts* rank : culprits) {
    if (rank->keeper_lost) {
      verdict.evidence.push_back({fmt::format("keeper/rank-{}", rank->rank.value),
                                  fmt::format("the connection to the keeper of rank {} (pid {}) ended: {}",
                                              rank->rank.value, rank->keeper_pid, *rank->keeper_lost)});
    }
    verdict.evidence.push_back(what_it_was_doing(*rank, evidence.now));
  }
  for (const Alarm& alarm : evidence.alarms) {
    if (alarm.cause == AlarmCause::keeper_silent) {
      verdict.evidence.push_back(
          why_alarmed(alarm, evidence.ranks[static_cast<std::size_t>(alarm.rank.value)], evidence.now));
    }
  }
  verdict.rejected.push_back(
      {FaultKind::rank_killed, "nobody has seen the rank itself end before its keeper was lost"});
  return verdict;
}

bool all_connected(const Evidence& evidence) {
  return std::all_of(evidence.ranks.begin(), evidence.ranks.end(),
                     [](const RankFacts& rank) { return rank.connected; });
}

std::vector<EvidenceFact> end_of_engine(const Evidence& evidence) {
  std::vector<EvidenceFact> facts;
  const EngineFacts& engine = evidence.engine;
  constexpr std::size_t most = 8;
  const std::size_t first = engine.last_lines.size() > most ? engine.last_lines.size() - most : 0;
  for (std::size_t i = first; i < engine.last_lines.size(); ++i) {
    if (!engine.last_lines[i].empty()) facts.push_back({"engine", engine.last_lines[i]});
  }
  // No pid here: recovery compares the facts of two failed launches.
  facts.push_back({"engine", fmt::format("the engine's process {}", in_words(*engine.exit))});
  return facts;
}

std::optional<Verdict> launch_failed(const Evidence& evidence) {
  if (evidence.engine.exit && !all_connected(evidence)) {
    Verdict verdict = verdict_about(evidence, FaultKind::launch_failed, 0.9, {}, evidence.engine.exit_at);
    add(verdict, end_of_engine(evidence));
    verdict.rejected.push_back({FaultKind::engine_lost, "the ranks had not been started yet"});
    return verdict;
  }
  Ranks culprits;
  std::vector<EvidenceFact> facts;
  TimePoint since = evidence.now;
  for (const Alarm& alarm : evidence.alarms) {
    if (alarm.cause != AlarmCause::not_started) continue;
    const RankFacts& rank = evidence.ranks[static_cast<std::size_t>(alarm.rank.value)];
    culprits.push_back(&rank);
    facts.push_back(why_alarmed(alarm, rank, evidence.now));
    since = std::min(since, alarm.since);
  }
  if (culprits.empty()) return std::nullopt;
  Verdict verdict = verdict_about(evidence, FaultKind::launch_failed, 0.8, culprits, since);
  add(verdict, std::move(facts));
  verdict.rejected.push_back({FaultKind::rank_stuck, "the rank had not begun, so nothing can have stuck in it"});
  return verdict;
}

std::optional<Verdict> engine_was_lost(const Evidence& evidence) {
  const EngineFacts& engine = evidence.engine;
  if (!engine.exit || !all_connected(evidence)) return std::nullopt;
  // An engine ends by itself because a keeper ended; one that was killed explains the keepers' end.
  const bool keeper_first = std::any_of(evidence.ranks.begin(), evidence.ranks.end(), [&](const RankFacts& rank) {
    return rank.keeper_lost && rank.keeper_lost_at < engine.exit_at;
  });
  if (keeper_first && !engine.exit->signalled) return std::nullopt;
  Verdict verdict =
      verdict_about(evidence, FaultKind::engine_lost, engine.exit->signalled ? 0.95 : 0.8, {}, engine.exit_at);
  verdict.culprits.push_back({-1, "", engine.pid});
  add(verdict, end_of_engine(evidence));
  verdict.rejected.push_back({FaultKind::keeper_lost, "no keeper was lost before the engine ended"});
  verdict.rejected.push_back({FaultKind::rank_killed, "ranks that ended did so together with the engine"});
  return verdict;
}

std::optional<Verdict> is_stuck(const Evidence& evidence) {
  std::uint64_t furthest = 0;
  Ranks alive = ranks_where(
      evidence, [](const RankFacts& rank) { return !rank.exit && rank.pulse && rank.pulse->ring_readable; });
  for (const RankFacts* rank : alive) furthest = std::max(furthest, rank->pulse->ring.collectives_started);
  Ranks alarmed;
  TimePoint since = evidence.now;
  std::vector<EvidenceFact> facts;
  for (const Alarm& alarm : evidence.alarms) {
    if (alarm.cause != AlarmCause::no_progress && alarm.cause != AlarmCause::not_exited) continue;
    const RankFacts& rank = evidence.ranks[static_cast<std::size_t>(alarm.rank.value)];
    alarmed.push_back(&rank);
    since = std::min(since, alarm.since);
    facts.push_back(why_alarmed(alarm, rank, evidence.now));
  }
  if (alarmed.empty()) return std::nullopt;
  Ranks behind = alarmed, waiting;
  std::erase_if(
      behind, [&](const RankFacts* rank) { return !rank->pulse || rank->pulse->ring.collectives_started >= furthest; });
  std::copy_if(alive.begin(), alive.end(), std::back_inserter(waiting), [&](const RankFacts* rank) {
    return rank->pulse->ring.collectives_started == furthest && rank->pulse->ring.collectives_completed < furthest;
  });
  const bool all_inside = behind.empty() && waiting.size() == alive.size() && alive.size() > 1;
  Verdict verdict = verdict_about(evidence, FaultKind::rank_stuck,
                                  all_inside       ? 0.4
                                  : behind.empty() ? 0.8
                                                   : 0.93,
                                  behind.empty() ? alarmed : behind, since);
  add(verdict, std::move(facts));
  for (const RankFacts* rank : behind.empty() ? alarmed : behind)
    verdict.evidence.push_back(what_it_was_doing(*rank, evidence.now));
  if (!behind.empty() && !waiting.empty()) {
    std::vector<Rank> names;
    for (const RankFacts* rank : waiting) names.push_back(rank->rank);
    verdict.evidence.push_back({"flight", fmt::format("{} wait in collective {}, which the culprit has not started",
                                                      in_words(names), furthest)});
  }
  if (all_inside) {
    verdict.evidence.push_back(
        {"flight",
         fmt::format("all ranks are inside collective {}: which of them holds it up cannot be told", furthest)});
  }
  verdict.rejected.push_back({FaultKind::collective_mismatch, "all signatures that were seen agree"});
  verdict.rejected.push_back(
      {FaultKind::communication_failure, "no rank reported an error of the communication library"});
  verdict.rejected.push_back({FaultKind::rank_killed, "the process is there"});
  return verdict;
}

std::optional<Verdict> communication_failed(const Evidence& evidence) {
  const Ranks reporters = ranks_where(evidence, [](const RankFacts& rank) {
    return rank.failure && rank.failure->failure.kind == FaultKind::communication_failure;
  });
  if (reporters.empty()) return std::nullopt;
  Verdict verdict = reported_by(evidence, reporters, 0.7);
  verdict.rejected.push_back({FaultKind::rank_killed, "no rank ended except those that reported the error"});
  verdict.rejected.push_back({FaultKind::collective_mismatch, "all signatures that were seen agree"});
  return verdict;
}

// A dead rank cannot make its peers' signatures differ, while a wrong call can make a rank crash: so the difference
// comes first.
constexpr std::array<Rule, 13> rules{killed_for_memory,   called_something_else,
                                     said_so_itself,      crashed,
                                     launch_failed,       was_killed,
                                     left_by_itself,      was_stopped,
                                     engine_was_lost,     connection_was_lost,
                                     keeper_was_lost,     is_stuck,
                                     communication_failed};

}  // namespace

const RingSnapshot* ring_of(const RankFacts& rank) {
  if (rank.exit && rank.exit->ring) return &*rank.exit->ring;
  return rank.pulse && rank.pulse->ring_readable ? &rank.pulse->ring : nullptr;
}

bool is_victim_of_teardown(const Evidence& evidence, const RankFacts& rank) {
  if (!rank.exit) return false;
  if (rank.finished || rank.exit->killed_by_keeper) return true;
  const ExitStatus& status = rank.exit->status;
  if (status.signalled && is_own_signal(status.code)) return false;
  if (evidence.engine.exit && rank.exit_at + same_event >= evidence.engine.exit_at) return true;
  return std::any_of(evidence.ranks.begin(), evidence.ranks.end(), [&](const RankFacts& other) {
    return &other != &rank && other.keeper_lost && rank.exit_at + same_event >= other.keeper_lost_at;
  });
}

Verdict classify(const Evidence& evidence) {
  for (const Rule rule : rules) {
    if (auto verdict = rule(evidence)) return *verdict;
  }
  if (auto verdict = stopped_on_request(evidence)) return *verdict;
  Verdict verdict = verdict_about(evidence, FaultKind::internal_error, 0.5, {}, evidence.now);
  verdict.evidence.push_back({"classifier", "the attempt was given up, and no fact that was gathered explains why"});
  return verdict;
}

Verdict classify(const Evidence& evidence, const Straggler& straggler) {
  const RankFacts& rank = evidence.ranks[static_cast<std::size_t>(straggler.rank.value)];
  const auto slow_for = std::chrono::duration_cast<Duration>(std::chrono::duration<double>(straggler.slow_for_seconds));
  Verdict verdict =
      verdict_about(evidence, FaultKind::straggler, 0.9, {&rank}, TimePoint{evidence.now.since_start - slow_for});
  verdict.evidence.push_back(
      {fmt::format("report/rank-{}", straggler.rank.value),
       fmt::format("in step {} it worked {:.3f} s before it entered the sum; for as many tokens the median of the "
                   "other ranks takes {:.3f} s",
                   straggler.step, straggler.seconds, straggler.seconds_of_peers)});
  verdict.evidence.push_back({"ftlaunch", fmt::format("so in every step since step {}", straggler.since_step)});
  verdict.rejected.push_back({FaultKind::rank_stuck, "it completes every step"});
  return verdict;
}

}  // namespace ftl
