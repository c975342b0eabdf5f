// Random events in random order, also of attempts that are over or never were: the supervisor never fails, never has
// two attempts at once, never acts on an older attempt, and comes to an end once everything of its attempt is gone.
#include <gtest/gtest.h>

#include <random>

#include "launcher/supervisor.h"

namespace ftl {
namespace {

struct Chaos {
  explicit Chaos(unsigned seed) : random(seed) {}
  int up_to(int most) { return std::uniform_int_distribution<int>(0, most)(random); }

  RankReport report() {
    switch (up_to(6)) {
      case 0: return ReportStarted{1, "p", "b", 10, up_to(9), 10, 100};
      case 1: return ReportStep{up_to(10), 1, 1, 1, 1, 0.1 * up_to(9)};
      case 2: return ReportEvaluation{up_to(10), 1, 1, 1};
      case 3: return ReportFaultFired{"x", 1};
      case 4:
        return ReportFailure{
            {static_cast<FaultKind>(up_to(static_cast<int>(fault_table.size()) - 1)), "w", "rank 99999", ""}, 1};
      case 5: return ReportCheckpoint{1, "d", 1};
      default: return ReportFinished{10, up_to(9) == 0};
    }
  }
  RingSnapshot ring(Attempt attempt) {
    RingSnapshot ring;
    ring.attempt = attempt;
    ring.phase = static_cast<Phase>(up_to(8));
    ring.step = up_to(10);
    ring.collectives_started = static_cast<std::uint64_t>(up_to(5));
    ring.collectives_completed = static_cast<std::uint64_t>(up_to(5));
    RecordedEntry entry;
    entry.kind = EntryKind::collective_started;
    entry.collective = static_cast<std::uint64_t>(up_to(5));
    entry.signature.step = up_to(1);
    ring.recent.assign(static_cast<std::size_t>(up_to(2)), entry);
    return ring;
  }
  Event event(Attempt present) {
    const Attempt attempt{present.value - (up_to(5) == 0 ? 1 : 0)};
    const Rank rank{up_to(3) - (up_to(20) == 0 ? 5 : 0)};
    switch (up_to(30)) {
      case 0: return EngineExited{attempt, {up_to(1) == 0, up_to(15), false}, {"line"}};
      case 1: return KeeperLost{attempt, rank, "gone"};
      case 2:
        return RankExited{
            attempt,
            rank,
            {{up_to(1) == 0, up_to(15), false}, 7, up_to(1) == 0, ring(attempt), {"a"}, {up_to(1), "", 0}, 0}};
      case 3: return EngineStarted{attempt, 3};
      case 4: return StopRequested{up_to(40) == 0 ? 2 : 1, "SIGTERM"};
      case 5:
      case 6:
      case 7: return KeeperConnected{attempt, rank, "n", 3};
      case 8:
      case 9: return RankStarted{attempt, rank, 4};
      case 10:
      case 11:
      case 12: {
        Pulse pulse;
        pulse.state = static_cast<ProcessState>(up_to(6));
        pulse.ring = ring(attempt);
        pulse.ring_readable = up_to(1) == 0;
        return RankPulse{attempt, rank, pulse};
      }
      case 13:
      case 14: return RankReported{attempt, rank, report()};
      default: return Tick{};
    }
  }
  std::mt19937 random;
};

struct Observed {
  Attempt attempt{0};
  bool owes_gone = false;  // dismissed or destroyed: the shell answers with AttemptGone
  bool is_gone = true;
  int finishes = 0;

  void see(const std::vector<Command>& commands, unsigned seed) {
    for (const Command& command : commands) {
      EXPECT_EQ(finishes, 0) << "a command after the end, seed " << seed;
      if (const auto* start = std::get_if<StartAttempt>(&command)) {
        EXPECT_TRUE(is_gone) << "two attempts at once, seed " << seed;
        EXPECT_EQ(start->attempt.value, attempt.value + 1) << "seed " << seed;
        EXPECT_GE(start->micro_batch, 1);
        attempt = start->attempt;
        is_gone = owes_gone = false;
      }
      std::visit(
          [&](const auto& c) {
            if constexpr (requires { c.attempt; }) {
              EXPECT_EQ(c.attempt, attempt) << "seed " << seed;
            }
          },
          command);
      if (std::get_if<DismissKeepers>(&command) || std::get_if<DestroyAttempt>(&command)) owes_gone = true;
      if (std::get_if<Finish>(&command)) ++finishes;
    }
  }
};

void play(unsigned seed, int events) {
  Chaos chaos(seed);
  SupervisorOptions options;
  options.world = WorldSize{4};
  options.micro_batch = 2;
  Supervisor supervisor(options);
  Observed observed;
  TimePoint now;
  observed.see(supervisor.start(now), seed);
  const auto tell = [&](const Event& event) { observed.see(supervisor.on(event, now), seed); };
  for (int i = 0; i < events; ++i) {
    now = now + std::chrono::milliseconds(chaos.up_to(60));
    tell(chaos.event(observed.attempt));
    if (observed.owes_gone && !observed.is_gone && chaos.up_to(3) == 0) {
      observed.is_gone = true;
      tell(AttemptGone{observed.attempt});
    }
    supervisor.status();
  }
  // Everything of whatever attempt there is goes away, again and again: the run ends.
  for (int i = 0; i < 20'000 && !supervisor.finished(); ++i) {
    now = now + std::chrono::milliseconds(50);
    if (!observed.is_gone && (observed.owes_gone || i % 100 == 0)) {
      observed.is_gone = true;
      tell(AttemptGone{observed.attempt});
    }
    tell(Tick{});
  }
  EXPECT_TRUE(supervisor.finished()) << "seed " << seed;
  EXPECT_EQ(observed.finishes, 1) << "seed " << seed;
}

TEST(SupervisorFuzz, AnyEventsInAnyOrderComeToOneEnd) {
  for (unsigned seed = 0; seed < 100'000 && !::testing::Test::HasFailure(); ++seed)
    play(seed, static_cast<int>(seed % 60));
}

}  // namespace
}  // namespace ftl
