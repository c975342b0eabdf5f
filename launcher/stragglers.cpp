#include "launcher/stragglers.h"

#include <algorithm>
#include <cmath>

namespace ftl {
namespace {

// Ranks are at most one step apart; a report that never comes must not keep steps for ever.
constexpr std::size_t open_steps = 8;

}  // namespace

Stragglers::Stragglers(WorldSize world) : streaks_(static_cast<std::size_t>(world.value)) {}

void Stragglers::begin_attempt() {
  reported_.clear();
  streaks_.assign(streaks_.size(), Streak{});
}

std::optional<Straggler> Stragglers::step_reported(Rank rank, std::int64_t step, double own_seconds,
                                                   std::int64_t own_tokens) {
  if (!std::isfinite(own_seconds) || own_seconds < 0 || own_tokens < 0) return std::nullopt;  // it is foreign input
  auto [at, is_new] = reported_.try_emplace(step, streaks_.size());
  at->second[static_cast<std::size_t>(rank.value)] = {own_seconds, static_cast<double>(own_tokens)};
  if (std::any_of(at->second.begin(), at->second.end(), [](const Work& work) { return work.seconds < 0; })) {
    if (reported_.size() > open_steps) reported_.erase(reported_.begin());
    return std::nullopt;
  }
  const std::vector<Work> complete = std::move(at->second);
  reported_.erase(reported_.begin(), std::next(at));
  return judge(step, complete);
}

std::optional<Straggler> Stragglers::judge(std::int64_t step, const std::vector<Work>& works) {
  std::optional<Straggler> found;
  for (std::size_t rank = 0; rank < works.size(); ++rank) {
    Streak& streak = streaks_[rank];
    std::vector<double> peers;  // seconds a token
    for (std::size_t other = 0; other < works.size(); ++other) {
      if (other != rank && works[other].tokens > 0) peers.push_back(works[other].seconds / works[other].tokens);
    }
    if (peers.empty() || works[rank].tokens == 0) continue;
    const auto middle = peers.begin() + static_cast<std::ptrdiff_t>(peers.size() / 2);
    std::nth_element(peers.begin(), middle, peers.end());
    const double expected = *middle * works[rank].tokens, own = works[rank].seconds;
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
