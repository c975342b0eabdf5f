// Finds the rank that all others wait for in every step: not stuck, only slow. Compared is a rank's own time for a
// token, before it entered the sum, with the median of its peers: sequences have all lengths. Steps and values are
// given, so it is pure.
//
// A rank is named once an attempt, after `steps_in_a_row` steps in each of which it took `factor` times its peers'
// median for a token and cost them at least `least_seconds`: what a noisy machine does now and then is no straggler.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "comm/rank.h"

namespace ftl {

struct Straggler {
  Rank rank;
  std::int64_t since_step = 0;  // the first of the steps in a row
  std::int64_t step = 0;        // the last of them
  double seconds = 0;           // of its own work in that step
  double seconds_of_peers = 0;  // what the median peer would have taken for as many tokens
  double slow_for_seconds = 0;  // its own work since since_step
};

class Stragglers {
 public:
  static constexpr double factor = 1.5, least_seconds = 0.05;
  static constexpr int steps_in_a_row = 5;

  explicit Stragglers(WorldSize world);
  void begin_attempt();
  // One rank's own work of a step. The step's last report may complete a finding.
  std::optional<Straggler> step_reported(Rank rank, std::int64_t step, double own_seconds, std::int64_t own_tokens);

 private:
  struct Streak {
    int steps = 0;
    std::int64_t since = 0;
    double seconds = 0;
    bool named = false;
  };
  struct Work {
    double seconds = -1;  // negative: not reported
    double tokens = 0;
  };
  std::optional<Straggler> judge(std::int64_t step, const std::vector<Work>& works);

  std::map<std::int64_t, std::vector<Work>> reported_;  // of steps that are not complete
  std::vector<Streak> streaks_;
};

}  // namespace ftl
