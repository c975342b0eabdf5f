// Finds the rank that all others wait for in every step: not stuck, only slow. Compared is a rank's own time for a
// sequence, before it entered the sum, with the median of its peers; steps and values are given, so it is pure.
//
// A rank is named once an attempt, after `steps_in_a_row` steps in each of which it took `factor` times its peers'
// median for a sequence and cost them at least `least_seconds`: what a noisy machine does now and then is no straggler.
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
  double seconds_of_peers = 0;  // what the median peer would have taken for as many sequences
  double slow_for_seconds = 0;  // its own work since since_step
};

class Stragglers {
 public:
  static constexpr double factor = 1.5, least_seconds = 0.05;
  static constexpr int steps_in_a_row = 5;

  // `leaves`: sequences of a step (global_batch_size).
  Stragglers(WorldSize world, std::int64_t leaves);
  void begin_attempt();
  // own_seconds of one rank's step. The step's last report may complete a finding.
  std::optional<Straggler> step_reported(Rank rank, std::int64_t step, double own_seconds);

 private:
  struct Streak {
    int steps = 0;
    std::int64_t since = 0;
    double seconds = 0;
    bool named = false;
  };
  std::optional<Straggler> judge(std::int64_t step, const std::vector<double>& own_seconds);

  std::vector<double> sequences_;                         // of each rank
  std::map<std::int64_t, std::vector<double>> reported_;  // of steps that are not complete; -1 = not yet
  std::vector<Streak> streaks_;
};

}  // namespace ftl
