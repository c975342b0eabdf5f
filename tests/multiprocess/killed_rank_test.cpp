// kill -9 of any rank at any moment, from outside: named within two seconds, recovered, and nothing of it in the bytes.
#include <csignal>
#include <random>
#include <thread>

#include "comm/flight_recorder.h"
#include "tests/multiprocess/launched_run.h"

namespace ftl {
namespace {

constexpr double detection_limit_seconds = 2;
constexpr int slack = 3;  // of the clock on the wall, on a machine that does other things besides

enum class When { starting, middle, last_step };

struct Kill {
  When when;
  int ranks;
  unsigned seed;  // which rank, and how many milliseconds into the moment
};

class KilledRank : public ::testing::TestWithParam<Kill> {
 protected:
  std::mt19937 source_{GetParam().seed};
  int random(int from, int to) { return std::uniform_int_distribution<int>(from, to)(source_); }

  // Waits for the moment; the pid of the chosen rank then.
  std::optional<pid_t> wait_for_moment(const RunSite& site, int rank) {
    if (GetParam().when == When::middle && !site.wait_for_step(random(1, 8))) return std::nullopt;
    if (GetParam().when == When::last_step && !site.wait_for_step(steps_of_tiny_run - 1)) return std::nullopt;
    const std::optional<pid_t> pid = site.wait_for_rank(rank);
    const int longest = GetParam().when == When::starting ? 400 : GetParam().when == When::middle ? 100 : 10;
    std::this_thread::sleep_for(Milliseconds(random(0, longest)));
    return pid;
  }
};

// Completed steps of any rank in an attempt, as the rings say that its keepers saved.
std::int64_t furthest_step(const RunSite& site, int attempt, int ranks) {
  std::int64_t furthest = 0;
  for (int rank = 0; rank < ranks; ++rank) {
    const auto file =
        site.output() / "flight" / ("attempt-" + std::to_string(attempt)) / ("rank-" + std::to_string(rank) + ".ring");
    const Result<RingSnapshot> ring = read_ring(file.string(), 1);
    if (ring) furthest = std::max(furthest, ring->step);
  }
  return furthest;
}

void expect_no_step_lost(const RunSite& site, int ranks) {
  int attempts = 0;
  for (const Json& event : site.events()) {
    EXPECT_NE(event.value("event", ""), "steps_lost") << event.dump();
    attempts += event.value("event", "") == "attempt_started" ? 1 : 0;
    if (event.value("event", "") != "resumed") continue;  // absent for an attempt that ended before it had begun
    const int attempt = event.value("attempt", 0);
    const std::string detail = event.value("detail", "");
    ASSERT_TRUE(detail.starts_with("from step ")) << detail;
    const std::int64_t from = std::stoll(detail.substr(10));
    if (attempt > 1) {
      EXPECT_GE(from, furthest_step(site, attempt - 1, ranks)) << event.dump();
    }
  }
  EXPECT_EQ(attempts, 2);
}

TEST_P(KilledRank, IsNamedAndTheRunGoesOnToTheSameBytes) {
  FTL_REQUIRE_MPIRUN();
  undisturbed_adapter();
  RunSite site;
  Command command = site.start({"--nodes", std::to_string(GetParam().ranks)});
  const int rank = random(0, GetParam().ranks - 1);
  const std::optional<pid_t> pid = wait_for_moment(site, rank);
  ASSERT_TRUE(pid) << ::testing::PrintToString(command.wait(Milliseconds(0)));
  ASSERT_EQ(::kill(*pid, SIGKILL), 0) << "rank " << rank << " had ended before it could be killed";
  const auto killed_at = std::chrono::steady_clock::now();
  EXPECT_TRUE(site.wait_until([&] { return !site.verdicts().empty() || !command.running(); }));
  const std::chrono::duration<double> seen_after = std::chrono::steady_clock::now() - killed_at;

  const CommandResult result = command.wait();
  ASSERT_EQ(site.verdicts().size(), 1U) << ::testing::PrintToString(result);
  const Json verdict = site.verdicts()[0];
  expect_verdict(verdict, {"rank_killed", "A.11", "E", rank, "retry"});
  EXPECT_EQ(verdict["culprits"][0].value("pid", 0), *pid);
  EXPECT_EQ(verdict.value("attempt", 0), 1);
  EXPECT_TRUE(verdict.value("retryable", false));
  EXPECT_LE(verdict.value("detected_after_s", 1e9), detection_limit_seconds);
  EXPECT_LE(seen_after.count(), slack * detection_limit_seconds);
  expect_undisturbed_result(site, result);
  expect_no_step_lost(site, GetParam().ranks);
}

std::string name_of(const ::testing::TestParamInfo<Kill>& info) {
  const char* when = info.param.when == When::starting ? "starting"
                     : info.param.when == When::middle ? "middle"
                                                       : "last_step";
  return std::string(when) + "_of_" + std::to_string(info.param.ranks) + "_ranks_seed_" +
         std::to_string(info.param.seed);
}

INSTANTIATE_TEST_SUITE_P(Moments, KilledRank,
                         ::testing::Values(Kill{When::starting, 2, 11}, Kill{When::starting, 3, 12},
                                           Kill{When::starting, 2, 13}, Kill{When::middle, 2, 21},
                                           Kill{When::middle, 2, 22}, Kill{When::middle, 3, 23},
                                           Kill{When::middle, 4, 24}, Kill{When::middle, 1, 25},
                                           Kill{When::last_step, 2, 31}, Kill{When::last_step, 3, 32}),
                         name_of);

// After the last step the rank writes checkpoint and adapter, or has gone already; either way the files must be whole.
TEST(KilledWriter, LeavesNoHalfWrittenAdapter) {
  FTL_REQUIRE_MPIRUN();
  for (const int milliseconds : {0, 15, 40}) {
    RunSite site;
    Command command = site.start({"--nodes", "2"});
    ASSERT_TRUE(site.wait_for_step(steps_of_tiny_run)) << ::testing::PrintToString(command.wait(Milliseconds(0)));
    std::this_thread::sleep_for(Milliseconds(milliseconds));
    if (const std::optional<pid_t> pid = site.process_of("fttrain", 0)) ::kill(*pid, SIGKILL);
    expect_undisturbed_result(site, command.wait());
    for (const Json& verdict : site.verdicts()) EXPECT_EQ(verdict.value("kind", ""), "rank_killed");
  }
}

TEST(RankKilledAgainAndAgain, GoesOnAsLongAsThereIsProgress) {
  FTL_REQUIRE_MPIRUN();
  RunSite site;
  Command command = site.start({"--nodes", "2"});
  for (const int step : {2, 5, 8}) {
    ASSERT_TRUE(site.wait_for_step(step)) << ::testing::PrintToString(command.wait(Milliseconds(0)));
    const std::size_t verdicts = site.verdicts().size();
    const std::optional<pid_t> pid = site.wait_for_rank(step % 2);
    ASSERT_TRUE(pid);
    ::kill(*pid, SIGKILL);
    ASSERT_TRUE(site.wait_until([&] { return site.verdicts().size() > verdicts; }));
  }
  expect_undisturbed_result(site, command.wait());
  for (const Json& verdict : site.verdicts()) EXPECT_EQ(verdict.value("kind", ""), "rank_killed") << verdict.dump(2);
}

}  // namespace
}  // namespace ftl
