#include "launcher/stragglers.h"

#include <algorithm>
#include <cmath>

#include "comm/exact_sum.h"

namespace ftl {
namespace {

// Ranks are at most one step apart; a report that never comes must not keep steps for ever.
constexpr std::size_t open_steps = 8;

}  // namespace

Stragglers::Stragglers(WorldSize world, std::int64_t leaves) {
  for (std::int32_t rank = 0; rank < world.value; ++rank) {
    const LeafRange own = leaves_of(Rank{rank}, world, leaves);
    sequences_.push_back(static_cast<double>(own.end - own.begin));
  }
  begin_attempt();
}

void Stragglers::begin_attempt() {
  reported_.clear();
  streaks_.assign(sequences_.size(), Streak{});
}

std::optional<Straggler> Stragglers::step_reported(Rank rank, std::int64_t step, double own_seconds) {
  if (!std::isfinite(own_seconds) || own_seconds < 0) return std::nullopt;  // a report is foreign input
  auto [at, is_new] = reported_.try_emplace(step, sequences_.size(), -1.0);
  at->second[static_cast<std::size_t>(rank.value)] = own_seconds;
  if (std::find(at->second.begin(), at->second.end(), -1.0) != at->second.end()) {
    if (reported_.size() > open_steps) reported_.erase(reported_.begin());
    return std::nullopt;
  }
  const std::vector<double> complete = std::move(at->second);
  reported_.erase(reported_.begin(), std::next(at));
  return judge(step, complete);
}

std::optional<Straggler> Stragglers::judge(std::int64_t step, const std::vector<double>& own_seconds) {
  std::optional<Straggler> found;
  for (std::size_t rank = 0; rank < own_seconds.size(); ++rank) {
    Streak& streak = streaks_[rank];
    std::vector<double> peers;
    for (std::size_t other = 0; other < own_seconds.size(); ++other) {
      if (other != rank && sequences_[other] > 0) peers.push_back(own_seconds[other] / sequences_[other]);
    }
    if (peers.empty() || sequences_[rank] == 0) continue;
    const auto middle = peers.begin() + static_cast<std::ptrdiff_t>(peers.size() / 2);
    std::nth_element(peers.begin(), middle, peers.end());
    const double expected = *middle * sequences_[rank], own = own_seconds[rank];
    if (own < factor * expected || own - expected < least_seconds) {
      streak = {.named = streak.named};
      continue;
    }
    if (streak.steps++ == 0) streak.since = step;
    streak.seconds += own;
    if (streak.steps < steps_in_a_row || streak.named) continue;
    streak.named = true;
    found = Straggler{Rank{static_cast<std::int32_t>(rank)}, streak.since, step, own, expected, streak.seconds};
  }
  return found;
}

}  // namespace ftl
