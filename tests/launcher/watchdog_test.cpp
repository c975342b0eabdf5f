#include "launcher/watchdog.h"

#include <gtest/gtest.h>

#include <array>
#include <random>

namespace ftl {
namespace {

constexpr Duration tick = std::chrono::milliseconds(50);

Pulse pulse_of(const RingSnapshot& ring, ProcessState state = ProcessState::sleeping) {
  Pulse pulse;
  pulse.ring = ring;
  pulse.ring_readable = true;
  pulse.state = state;
  return pulse;
}

// Ranks whose steps take a jittered time and show progress while they compute, and the start and the end of their
// collective.
struct Steppers {
  Steppers(int world, double seconds, unsigned seed)
      : watchdog({}, WorldSize{world}), random(seed), step_seconds(seconds), ranks(static_cast<std::size_t>(world)) {
    watchdog.begin_attempt(now);
    for (int i = 0; i < world; ++i) {
      watchdog.keeper_connected(Rank{i}, now);
      watchdog.rank_started(Rank{i}, now);
      ranks[static_cast<std::size_t>(i)].ring.phase = Phase::forward;
      begin_step(ranks[static_cast<std::size_t>(i)]);
    }
  }
  struct One {
    RingSnapshot ring;
    TimePoint began, arrives;
    bool hangs = false;
  };
  void begin_step(One& rank) {
    rank.began = now;
    const double seconds = step_seconds * std::uniform_real_distribution<double>(0.5, 3.0)(random);
    rank.arrives = now + std::chrono::duration_cast<Duration>(std::chrono::duration<double>(seconds));
  }
  std::vector<Alarm> advance() {
    now = now + tick;
    bool all_arrived = true;
    for (One& rank : ranks) {
      const bool inside = rank.ring.collectives_started > rank.ring.collectives_completed;
      if (!rank.hangs && !inside) ++rank.ring.heartbeat;  // a layer or more
      if (!inside && !rank.hangs && now >= rank.arrives) ++rank.ring.collectives_started;
      all_arrived = all_arrived && rank.ring.collectives_started > rank.ring.collectives_completed;
    }
    if (all_arrived) {
      for (One& rank : ranks) {
        ++rank.ring.collectives_completed;
        ++rank.ring.step;
        watchdog.step_completed(std::chrono::duration<double>(now - rank.began).count());
        begin_step(rank);
      }
      ++steps;
    }
    for (std::size_t i = 0; i < ranks.size(); ++i)
      watchdog.pulse(Rank{static_cast<std::int32_t>(i)}, pulse_of(ranks[i].ring), now);
    return watchdog.tick(now);
  }
  Watchdog watchdog;
  std::mt19937 random;
  double step_seconds;
  std::vector<One> ranks;
  TimePoint now;
  std::int64_t steps = 0;
};

TEST(Watchdog, NeverCallsAHealthyRankWhateverItsJitter) {
  std::int64_t steps = 0;
  for (unsigned seed = 0; steps < 100'000; ++seed) {
    Steppers world(2 + static_cast<int>(seed % 3), std::array{0.03, 0.3, 1.0, 2.0}[seed % 4], seed);
    while (world.steps < 2'500) ASSERT_TRUE(world.advance().empty()) << "seed " << seed << ", step " << world.steps;
    steps += world.steps;
  }
}

TEST(Watchdog, CallsEveryPlantedHangInTimeAndByName) {
  for (unsigned seed = 0; seed < 200; ++seed) {
    Steppers world(4, std::array{0.03, 0.3, 2.0}[seed % 3], seed);
    while (world.steps < 5 + seed % 40) ASSERT_TRUE(world.advance().empty());
    const std::size_t culprit = seed % 4;
    world.ranks[culprit].hangs = true;
    const Duration deadline = world.watchdog.deadline();
    const TimePoint planted = world.now;
    std::vector<Alarm> alarms;
    while (alarms.empty()) alarms = world.advance();
    ASSERT_EQ(alarms.size(), 1u);
    EXPECT_EQ(alarms[0].rank, Rank{static_cast<std::int32_t>(culprit)}) << "seed " << seed;
    EXPECT_EQ(alarms[0].cause, AlarmCause::no_progress);
    EXPECT_LE(world.now - planted, deadline + 2 * tick) << "seed " << seed;
  }
}

TEST(Watchdog, CallsAStoppedProcessAfterTwoSecondsInAnyPhase) {
  for (const Phase phase : {Phase::init, Phase::forward, Phase::checkpoint, Phase::evaluate, Phase::finalize}) {
    Watchdog watchdog({}, WorldSize{1});
    TimePoint now;
    watchdog.begin_attempt(now);
    watchdog.rank_started(Rank{0}, now);
    RingSnapshot ring;
    ring.phase = phase;
    std::vector<Alarm> alarms;
    while (alarms.empty() && now.since_start < std::chrono::seconds(10)) {
      now = now + tick;
      watchdog.pulse(Rank{0}, pulse_of(ring, ProcessState::stopped), now);
      alarms = watchdog.tick(now);
    }
    ASSERT_EQ(alarms.size(), 1u);
    EXPECT_EQ(alarms[0].cause, AlarmCause::stopped);
    EXPECT_LE(now.since_start, std::chrono::milliseconds(2200));
  }
}

TEST(Watchdog, DoesNotCountTimeInWhichNobodyWatched) {
  Steppers world(2, 0.3, 1);
  while (world.steps < 10) ASSERT_TRUE(world.advance().empty());
  world.now = world.now + std::chrono::hours(8);
  EXPECT_TRUE(world.watchdog.tick(world.now).empty());
}

TEST(Watchdog, CallsARankThatWaitsForAPeerWhichIsGone) {
  Steppers world(2, 0.3, 7);
  while (world.steps < 5) ASSERT_TRUE(world.advance().empty());
  world.ranks[1].hangs = true;
  world.watchdog.gone(Rank{1});
  const TimePoint left = world.now;
  std::vector<Alarm> alarms;
  while (alarms.empty() && world.now - left < std::chrono::seconds(60)) alarms = world.advance();
  ASSERT_EQ(alarms.size(), 1u);
  EXPECT_EQ(alarms[0].rank, Rank{0});
  EXPECT_EQ(alarms[0].cause, AlarmCause::no_progress);
}

// Two ranks in their last phase; rank 1 has finished, rank 0 still writes.
TEST(Watchdog, NeverCallsARankThatHasFinishedWhileAnotherOneMakesProgress) {
  Watchdog watchdog({}, WorldSize{2});
  TimePoint now;
  watchdog.begin_attempt(now);
  for (int i = 0; i < 2; ++i) watchdog.rank_started(Rank{i}, now);
  watchdog.step_completed(0.1);
  watchdog.finished(Rank{1}, now);
  RingSnapshot writer, waiting;
  writer.phase = waiting.phase = Phase::finalize;
  const auto look = [&] {
    now = now + tick;
    watchdog.pulse(Rank{0}, pulse_of(writer), now);
    watchdog.pulse(Rank{1}, pulse_of(waiting), now);
    return watchdog.tick(now);
  };
  while (now.since_start < std::chrono::minutes(20)) {
    ++writer.heartbeat;
    ASSERT_TRUE(look().empty()) << "after " << now.since_start.count() / 1'000'000'000 << " s";
  }
  std::vector<Alarm> alarms;
  while (alarms.empty() && now.since_start < std::chrono::minutes(30)) alarms = look();
  ASSERT_EQ(alarms.size(), 1u);
  EXPECT_EQ(alarms[0].rank, Rank{0}) << "it is the writer that hangs";
  EXPECT_EQ(alarms[0].cause, AlarmCause::no_progress);
}

TEST(Watchdog, CallsRanksThatHaveAllFinishedAndDoNotLeave) {
  Watchdog watchdog({}, WorldSize{2});
  TimePoint now;
  watchdog.begin_attempt(now);
  for (int i = 0; i < 2; ++i) {
    watchdog.rank_started(Rank{i}, now);
    watchdog.finished(Rank{i}, now);
  }
  RingSnapshot ring;
  ring.phase = Phase::finalize;
  std::vector<Alarm> alarms;
  while (alarms.empty() && now.since_start < std::chrono::minutes(10)) {
    now = now + tick;
    for (int i = 0; i < 2; ++i) watchdog.pulse(Rank{i}, pulse_of(ring), now);
    alarms = watchdog.tick(now);
  }
  ASSERT_EQ(alarms.size(), 2u);
  EXPECT_EQ(alarms[0].cause, AlarmCause::not_exited);
}

TEST(Watchdog, CallsAKeeperThatSendsNothing) {
  Watchdog watchdog({}, WorldSize{2});
  TimePoint now;
  watchdog.begin_attempt(now);
  for (int i = 0; i < 2; ++i) watchdog.rank_started(Rank{i}, now);
  std::vector<Alarm> alarms;
  while (alarms.empty() && now.since_start < std::chrono::seconds(10)) {
    now = now + tick;
    watchdog.pulse(Rank{0}, pulse_of({}), now);
    alarms = watchdog.tick(now);
  }
  ASSERT_EQ(alarms.size(), 1u);
  EXPECT_EQ(alarms[0].rank, Rank{1});
  EXPECT_EQ(alarms[0].cause, AlarmCause::keeper_silent);
}

}  // namespace
}  // namespace ftl
