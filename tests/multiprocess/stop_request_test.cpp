// Ctrl-C and SIGTERM: the first asks, the second insists. Either way nothing is left behind, and the same command goes
// on.
#include <csignal>
#include <thread>

#include "tests/multiprocess/launched_run.h"

namespace ftl {
namespace {

constexpr Milliseconds between_two_signals(30);

void expect_resumes_to_the_same_bytes(RunSite& site, const std::vector<std::string>& command_line) {
  const std::vector<MarkedProcess> left = site.left();
  EXPECT_TRUE(left.empty()) << describe(left);
  EXPECT_EQ(site.status().value("state", ""), "stopped");
  EXPECT_FALSE(site.adapter().complete()) << "the run was finished before it could be stopped";
  expect_undisturbed_result(site, site.run(command_line));
}

TEST(ControlC, FinishesTheStepWritesACheckpointAndTheSameCommandResumes) {
  FTL_REQUIRE_MPIRUN();
  undisturbed_adapter();
  RunSite site;
  Command command = site.start({"--nodes", "2"});
  ASSERT_TRUE(site.wait_for_step(3)) << ::testing::PrintToString(command.wait(Milliseconds(0)));
  command.press_ctrl_c();
  const CommandResult result = command.wait();
  EXPECT_EQ(result.exit_code, 5) << ::testing::PrintToString(result);
  const std::int64_t reached = site.last_step();
  EXPECT_LT(reached, steps_of_tiny_run);
  EXPECT_TRUE(
      std::filesystem::exists(site.output() / "checkpoints" / ("step-" + std::to_string(reached)) / "manifest.json"));
  expect_resumes_to_the_same_bytes(site, {"--nodes", "2"});
}

TEST(ControlC, OfARunOfOneRankIsTheSame) {
  undisturbed_adapter();
  RunSite site;
  Command command = site.start({});
  ASSERT_TRUE(site.wait_for_step(3)) << ::testing::PrintToString(command.wait(Milliseconds(0)));
  command.press_ctrl_c();
  const CommandResult result = command.wait();
  EXPECT_EQ(result.exit_code, 5) << ::testing::PrintToString(result);
  expect_resumes_to_the_same_bytes(site, {});
}

TEST(ControlC, WhileRanksAreStartingEndsTheRunToo) {
  FTL_REQUIRE_MPIRUN();
  undisturbed_adapter();
  RunSite site;
  Command command = site.start({"--nodes", "2"});
  ASSERT_TRUE(site.wait_for_rank(1)) << ::testing::PrintToString(command.wait(Milliseconds(0)));
  command.press_ctrl_c();
  const CommandResult result = command.wait();
  EXPECT_EQ(result.exit_code, 5) << ::testing::PrintToString(result);
  expect_resumes_to_the_same_bytes(site, {"--nodes", "2"});
}

TEST(ControlC, LetsTheRunBeResumedWithAnotherNumberOfRanks) {
  FTL_REQUIRE_MPIRUN();
  undisturbed_adapter();
  RunSite site;
  Command command = site.start({"--nodes", "3"});
  ASSERT_TRUE(site.wait_for_step(2)) << ::testing::PrintToString(command.wait(Milliseconds(0)));
  command.press_ctrl_c();
  EXPECT_EQ(command.wait().exit_code, 5);
  expect_resumes_to_the_same_bytes(site, {"--nodes", "2", "--set", "per_device_train_batch_size=2"});
}

struct Twice {
  const char* name;
  int signal;
  int exit_code;
};

class SecondSignal : public ::testing::TestWithParam<Twice> {};

TEST_P(SecondSignal, EndsTheRunAtOnceAndTheSameCommandResumes) {
  FTL_REQUIRE_MPIRUN();
  undisturbed_adapter();
  RunSite site;
  Command command = site.start({"--nodes", "2"});
  ASSERT_TRUE(site.wait_for_step(3)) << ::testing::PrintToString(command.wait(Milliseconds(0)));
  // A rank that cannot answer keeps the run from stopping in order, so the second signal has something to insist on.
  const std::optional<pid_t> rank = site.wait_for_rank(1);
  ASSERT_TRUE(rank);
  ::kill(*rank, SIGSTOP);
  command.send(GetParam().signal);
  std::this_thread::sleep_for(between_two_signals);
  command.send(GetParam().signal);
  const CommandResult result = command.wait(std::chrono::seconds(15));
  EXPECT_EQ(result.exit_code, GetParam().exit_code) << ::testing::PrintToString(result);
  expect_resumes_to_the_same_bytes(site, {"--nodes", "2"});
}

TEST_P(SecondSignal, DoesSoForARunThatIsWell) {
  FTL_REQUIRE_MPIRUN();
  undisturbed_adapter();
  RunSite site;
  Command command = site.start({"--nodes", "2"});
  ASSERT_TRUE(site.wait_for_step(3)) << ::testing::PrintToString(command.wait(Milliseconds(0)));
  command.send(GetParam().signal);
  std::this_thread::sleep_for(between_two_signals);
  command.send(GetParam().signal);
  const CommandResult result = command.wait(std::chrono::seconds(15));
  EXPECT_EQ(result.exit_code, GetParam().exit_code) << ::testing::PrintToString(result);
  expect_resumes_to_the_same_bytes(site, {"--nodes", "2"});
}

INSTANTIATE_TEST_SUITE_P(Signals, SecondSignal,
                         ::testing::Values(Twice{"SIGINT", SIGINT, 130}, Twice{"SIGTERM", SIGTERM, 143}),
                         [](const auto& one) { return one.param.name; });

TEST(Sigterm, OnceIsARequestLikeControlC) {
  FTL_REQUIRE_MPIRUN();
  undisturbed_adapter();
  RunSite site;
  Command command = site.start({"--nodes", "2"});
  ASSERT_TRUE(site.wait_for_step(3)) << ::testing::PrintToString(command.wait(Milliseconds(0)));
  command.send(SIGTERM);
  const CommandResult result = command.wait();
  EXPECT_EQ(result.exit_code, 5) << ::testing::PrintToString(result);
  expect_resumes_to_the_same_bytes(site, {"--nodes", "2"});
}

}  // namespace
}  // namespace ftl
