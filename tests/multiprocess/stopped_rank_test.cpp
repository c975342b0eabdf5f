// kill -STOP of a rank: it is alive, silent, and everybody waits for it.
#include <csignal>
#include <thread>

#include "tests/multiprocess/launched_run.h"

namespace ftl {
namespace {

constexpr double longest_detection_seconds = 3;  // steps of the tiny run are far below 2/3 s
constexpr int slack = 2;

bool is_gone(pid_t pid) {
  // A zombie that nobody reaps cannot be stopped or continued any more: its process is gone.
  const std::string stat = [&] {
    std::string text;
    if (FILE* file = std::fopen(("/proc/" + std::to_string(pid) + "/stat").c_str(), "r")) {
      char buffer[512];
      text.assign(buffer, std::fread(buffer, 1, sizeof buffer, file));
      std::fclose(file);
    }
    return text;
  }();
  const std::size_t name_end = stat.rfind(')');
  return name_end == std::string::npos || stat.substr(name_end + 2, 1) == "Z" || stat.substr(name_end + 2, 1) == "X";
}

class StoppedRank : public ::testing::TestWithParam<std::pair<int, int>> {};  // ranks, the one that is stopped

TEST_P(StoppedRank, IsNamedTornDownAndTheRunRecovers) {
  FTL_REQUIRE_MPIRUN();
  const auto [ranks, rank] = GetParam();
  undisturbed_adapter();
  RunSite site;
  Command command = site.start({"--nodes", std::to_string(ranks)});
  ASSERT_TRUE(site.wait_for_step(3)) << ::testing::PrintToString(command.wait(Milliseconds(0)));
  const std::optional<pid_t> pid = site.wait_for_rank(rank);
  ASSERT_TRUE(pid);
  ASSERT_EQ(::kill(*pid, SIGSTOP), 0);
  const auto stopped_at = std::chrono::steady_clock::now();
  EXPECT_TRUE(site.wait_until([&] { return !site.verdicts().empty(); }));
  const std::chrono::duration<double> seen_after = std::chrono::steady_clock::now() - stopped_at;
  EXPECT_LE(seen_after.count(), slack * longest_detection_seconds);

  const CommandResult result = command.wait();
  ASSERT_EQ(site.verdicts().size(), 1U) << ::testing::PrintToString(result);
  const Json verdict = site.verdicts()[0];
  expect_verdict(verdict, {"rank_stuck", "B.2", "A.3.3", rank, "retry"});
  EXPECT_EQ(verdict["culprits"][0].value("pid", 0), *pid);
  EXPECT_LE(verdict.value("detected_after_s", 1e9), longest_detection_seconds);
  EXPECT_TRUE(is_gone(*pid)) << "the stopped rank " << *pid << " is still there";
  expect_undisturbed_result(site, result);
}

INSTANTIATE_TEST_SUITE_P(Ranks, StoppedRank, ::testing::Values(std::pair{2, 1}, std::pair{3, 0}, std::pair{1, 0}),
                         [](const auto& one) {
                           return "rank_" + std::to_string(one.param.second) + "_of_" + std::to_string(one.param.first);
                         });

// A rank that is stopped only for a moment (a debugger, a scheduler) is none that is stuck.
TEST(RankStoppedForAMoment, IsNotJudged) {
  FTL_REQUIRE_MPIRUN();
  RunSite site;
  Command command = site.start({"--nodes", "2"});
  ASSERT_TRUE(site.wait_for_step(3)) << ::testing::PrintToString(command.wait(Milliseconds(0)));
  const std::optional<pid_t> pid = site.wait_for_rank(1);
  ASSERT_TRUE(pid);
  ::kill(*pid, SIGSTOP);
  std::this_thread::sleep_for(Milliseconds(700));
  ::kill(*pid, SIGCONT);
  expect_undisturbed_result(site, command.wait());
  EXPECT_TRUE(site.verdicts().empty());
}

}  // namespace
}  // namespace ftl
