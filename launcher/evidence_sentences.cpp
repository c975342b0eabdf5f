#include "launcher/evidence_sentences.h"

#include <fmt/format.h>

#include <algorithm>
#include <csignal>

namespace ftl {
namespace {

double seconds_between(TimePoint from, TimePoint to) { return std::chrono::duration<double>(to - from).count(); }

}  // namespace

std::string_view in_words(ProcessState state) {
  switch (state) {
    case ProcessState::running: return "running";
    case ProcessState::sleeping: return "sleeping";
    case ProcessState::uninterruptible: return "in an uninterruptible wait (state D)";
    case ProcessState::stopped: return "stopped (state T)";
    case ProcessState::traced: return "held by a debugger";
    case ProcessState::zombie: return "a zombie";
    case ProcessState::gone: return "gone";
  }
  return "in an unknown state";
}

std::string signal_name(int signal) {
  switch (signal) {
    case SIGHUP: return "SIGHUP";
    case SIGINT: return "SIGINT";
    case SIGQUIT: return "SIGQUIT";
    case SIGILL: return "SIGILL";
    case SIGTRAP: return "SIGTRAP";
    case SIGABRT: return "SIGABRT";
    case SIGBUS: return "SIGBUS";
    case SIGFPE: return "SIGFPE";
    case SIGKILL: return "SIGKILL";
    case SIGSEGV: return "SIGSEGV";
    case SIGPIPE: return "SIGPIPE";
    case SIGTERM: return "SIGTERM";
    case SIGXCPU: return "SIGXCPU";
    case SIGXFSZ: return "SIGXFSZ";
    case SIGSYS: return "SIGSYS";
    default: return fmt::format("signal {}", signal);
  }
}

std::string in_words(const ExitStatus& status) {
  if (!status.signalled) return fmt::format("exited with code {}", status.code);
  return fmt::format("ended by signal {} ({}){}", status.code, signal_name(status.code),
                     status.core_dumped ? " and dumped core" : "");
}

std::string in_words(const std::vector<Rank>& ranks) {
  std::string text = ranks.size() == 1 ? "rank " : "ranks ";
  for (std::size_t i = 0; i < ranks.size(); ++i) {
    if (i > 0) text += i + 1 == ranks.size() ? " and " : ", ";
    text += std::to_string(ranks[i].value);
  }
  return text;
}

EvidenceFact how_it_ended(const RankFacts& rank) {
  const std::string source = fmt::format("keeper/rank-{}", rank.rank.value);
  if (!rank.exit) return {source, fmt::format("process {} of rank {} is still there", rank.pid, rank.rank.value)};
  const ExitEvidence& exit = *rank.exit;
  std::string fact = fmt::format("process {} of rank {} {}", exit.pid, rank.rank.value, in_words(exit.status));
  if (exit.killed_by_keeper)
    fact += ", sent by its keeper for the teardown";
  else if (exit.status.signalled)
    fact += ", which its keeper had not sent";
  else if (!rank.finished)
    fact += " before it had reported that it finished";
  return {source, fact};
}

EvidenceFact what_it_was_doing(const RankFacts& rank, TimePoint now) {
  const std::string source = fmt::format("flight/rank-{}", rank.rank.value);
  const RingSnapshot* ring = ring_of(rank);
  if (!ring) return {source, fmt::format("rank {} has left no readable flight recorder", rank.rank.value)};
  std::string fact =
      fmt::format("rank {} was in phase {} with {} steps completed", rank.rank.value, name_of(ring->phase), ring->step);
  if (ring->collectives_started > ring->collectives_completed) {
    fact += fmt::format(", inside its collective {}", ring->collectives_started);
  } else {
    fact += fmt::format(", {} collectives completed and none under way", ring->collectives_completed);
  }
  fact += fmt::format("; its last sign of progress was seen {:.2f} s ago", seconds_between(rank.progress_at, now));
  return {source, fact};
}

std::vector<EvidenceFact> last_words(const RankFacts& rank) {
  std::vector<EvidenceFact> facts;
  if (!rank.exit) return facts;
  const std::vector<std::string>& lines = rank.exit->last_lines;
  constexpr std::size_t most = 3;
  for (std::size_t i = lines.size() > most ? lines.size() - most : 0; i < lines.size(); ++i) {
    if (!lines[i].empty()) facts.push_back({fmt::format("log/rank-{}", rank.rank.value), lines[i]});
  }
  return facts;
}

std::vector<EvidenceFact> memory_facts(const RankFacts& rank) {
  std::vector<EvidenceFact> facts;
  if (!rank.exit) return facts;
  const OomEvidence& oom = rank.exit->oom;
  if (!oom.kernel_line.empty()) facts.push_back({"kernel log", oom.kernel_line});
  if (oom.cgroup_kills > 0) {
    std::string fact = fmt::format("the oom_kill counter of the memory cgroup of rank {} rose by {}", rank.rank.value,
                                   oom.cgroup_kills);
    if (oom.limit_bytes > 0) fact += fmt::format("; its limit is {} bytes", oom.limit_bytes);
    if (rank.exit->peak_resident_bytes > 0)
      fact += fmt::format("; the rank's peak was {} bytes resident", rank.exit->peak_resident_bytes);
    facts.push_back({fmt::format("cgroup/rank-{}", rank.rank.value), fact});
  }
  return facts;
}

EvidenceFact why_alarmed(const Alarm& alarm, const RankFacts& rank, TimePoint now) {
  const std::string source = fmt::format("watchdog/rank-{}", rank.rank.value);
  const double silent = seconds_between(alarm.since, now);
  const double limit = std::chrono::duration<double>(alarm.limit).count();
  switch (alarm.cause) {
    case AlarmCause::stopped:
      return {source, fmt::format("process {} of rank {} has been stopped (state T) for {:.2f} s", rank.pid,
                                  rank.rank.value, silent)};
    case AlarmCause::keeper_silent:
      return {source, fmt::format("the keeper of rank {} (pid {}) has sent no pulse for {:.2f} s, {:.2f} s are allowed",
                                  rank.rank.value, rank.keeper_pid, silent, limit)};
    case AlarmCause::not_started:
      return {source, fmt::format("rank {} {} when the {:.0f} s for the start were over", rank.rank.value,
                                  !rank.connected ? "had no keeper"
                                  : rank.pid == 0 ? "had no process"
                                                  : "had not begun to record",
                                  limit)};
    case AlarmCause::not_exited:
      return {source,
              fmt::format("rank {} reported that it had finished, and process {} is still {} after {:.2f} s",
                          rank.rank.value, rank.pid, rank.pulse ? in_words(rank.pulse->state) : "there", silent)};
    case AlarmCause::no_progress: break;
  }
  return {source,
          fmt::format("rank {} has made no progress for {:.2f} s, {:.2f} s are allowed; process {} is {}",
                      rank.rank.value, silent, limit, rank.pid, rank.pulse ? in_words(rank.pulse->state) : "not seen")};
}

std::vector<EvidenceFact> signatures_in_words(const CollectiveMismatch& mismatch) {
  std::vector<EvidenceFact> facts;
  std::vector<Rank> told;
  for (const auto& [rank, signature] : mismatch.signatures) {
    const std::string source = fmt::format("flight/rank-{}", rank.value);
    if (!signature) {
      facts.push_back({source, fmt::format("rank {} went on to a later step ({} completed) without collective {}",
                                           rank.value, mismatch.steps.at(rank), mismatch.collective)});
      continue;
    }
    if (std::find(told.begin(), told.end(), rank) != told.end()) continue;
    std::vector<Rank> camp;
    for (const auto& [other, theirs] : mismatch.signatures) {
      if (theirs == signature) camp.push_back(other);
    }
    told.insert(told.end(), camp.begin(), camp.end());
    facts.push_back({source, fmt::format("{} called collective {} as {}", in_words(camp), mismatch.collective,
                                         describe(*signature))});
  }
  return facts;
}

}  // namespace ftl
