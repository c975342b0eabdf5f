// Keepers and ranks as real processes: what is known after each kind of death, and that nothing is left behind.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sys/prctl.h>
#include <sys/wait.h>

#include "tests/launcher/attempt_world.h"

namespace ftl {
namespace {

using testing::AttemptWorld;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// The end of every story: all keepers are dismissed, and then nothing of the attempt lives.
void expect_clean_end(AttemptWorld& world) {
  world.processes->dismiss();
  EXPECT_TRUE(world.run_until([&] { return world.gone; }));
  EXPECT_TRUE(world.nothing_left());
}

TEST(Keeper, TellsHowARankFinishes) {
  AttemptWorld world(EngineKind::local, 1, {"--steps", "5", "--step-ms", "1"});
  ASSERT_TRUE(world.start());
  ASSERT_TRUE(world.run_until([&] { return world.all_ranks_ended(); }));
  const ExitEvidence& end = world.exits[Rank{0}];
  EXPECT_FALSE(end.status.signalled);
  EXPECT_EQ(end.status.code, 0);
  EXPECT_FALSE(end.killed_by_keeper);
  EXPECT_EQ(end.pid, world.ranks[Rank{0}]);
  EXPECT_GT(end.peak_resident_bytes, 100'000);
  EXPECT_EQ(world.steps[Rank{0}], 5);
  EXPECT_EQ(world.finished[Rank{0}].step, 5);
  EXPECT_THAT(world.log[Rank{0}], Contains("rank 0 says hello"));
  EXPECT_EQ(world.nodes[Rank{0}], "local-0");
  ASSERT_TRUE(end.ring.has_value());
  EXPECT_EQ(end.ring->step, 4);
  EXPECT_FALSE(world.rings[Rank{0}].empty());
  EXPECT_THAT(world.lost, IsEmpty());
  expect_clean_end(world);
}

TEST(Keeper, SeesARankThatIsKilledFromOutside) {
  AttemptWorld world(EngineKind::local, 1);
  ASSERT_TRUE(world.start());
  ASSERT_TRUE(world.run_until([&] { return world.all_ranks_step(); }));
  ::kill(world.ranks[Rank{0}], SIGKILL);
  ASSERT_TRUE(world.run_until([&] { return world.all_ranks_ended(); }));
  EXPECT_TRUE(world.exits[Rank{0}].status.signalled);
  EXPECT_EQ(world.exits[Rank{0}].status.code, SIGKILL);
  EXPECT_FALSE(world.exits[Rank{0}].killed_by_keeper);
  EXPECT_EQ(world.exits[Rank{0}].oom.cgroup_kills, 0);
  EXPECT_THAT(world.exits[Rank{0}].oom.kernel_line, IsEmpty());
  expect_clean_end(world);
}

TEST(Keeper, PulsesShowARankThatIsStopped) {
  AttemptWorld world(EngineKind::local, 1);
  ASSERT_TRUE(world.start());
  ASSERT_TRUE(world.run_until([&] { return world.all_ranks_step() && world.pulses[Rank{0}].ring_readable; }));
  ::kill(world.ranks[Rank{0}], SIGSTOP);
  EXPECT_TRUE(world.run_until([&] { return world.pulses[Rank{0}].state == ProcessState::stopped; }));
  world.processes->kill_ranks();
  ASSERT_TRUE(world.run_until([&] { return world.all_ranks_ended(); }));
  EXPECT_TRUE(world.exits[Rank{0}].killed_by_keeper);
  expect_clean_end(world);
}

TEST(Keeper, StopLetsTheRankFinishInOrder) {
  AttemptWorld world(EngineKind::local, 1);
  ASSERT_TRUE(world.start());
  ASSERT_TRUE(world.run_until([&] { return world.all_ranks_step(); }));
  world.processes->stop_ranks();
  ASSERT_TRUE(world.run_until([&] { return world.all_ranks_ended(); }));
  EXPECT_FALSE(world.exits[Rank{0}].status.signalled);
  EXPECT_TRUE(world.finished[Rank{0}].stopped);
  expect_clean_end(world);
}

TEST(Keeper, KillsWhatTheRankForkedEvenOutsideItsGroup) {
  AttemptWorld world(EngineKind::local, 1, {"--fork-child"});
  ASSERT_TRUE(world.start());
  ASSERT_TRUE(world.run_until([&] { return world.all_ranks_step(); }));
  ASSERT_EQ(processes_marked(world.marker).size(), 3u);  // keeper, rank, the rank's child
  ::kill(world.ranks[Rank{0}], SIGKILL);
  ASSERT_TRUE(world.run_until([&] { return world.all_ranks_ended(); }));
  EXPECT_THAT(processes_marked(world.marker), ::testing::ElementsAre(world.keepers[Rank{0}]));
  expect_clean_end(world);
}

TEST(Keeper, AFloodOfLogLinesIsForwardedOrCountedButNeverBlocksTheRank) {
  constexpr std::int64_t flood = 300'000;
  AttemptWorld world(EngineKind::local, 1, {"--flood", std::to_string(flood), "--steps", "2"});
  ASSERT_TRUE(world.start());
  ASSERT_TRUE(world.run_until([&] { return world.all_ranks_ended(); }));
  EXPECT_EQ(world.exits[Rank{0}].status.code, 0);
  EXPECT_EQ(static_cast<std::int64_t>(world.log[Rank{0}].size()) + world.dropped, flood + 1);
  expect_clean_end(world);
}

TEST(Keeper, SaysWhenTheRankProgramIsNotThere) {
  AttemptWorld world(EngineKind::local, 1);
  world.request.rank_command[0] = "/nonexistent/fttrain";
  ASSERT_TRUE(world.start());
  ASSERT_TRUE(world.run_until([&] { return world.all_ranks_ended(); }));
  EXPECT_EQ(world.exits[Rank{0}].status.code, 127);
  EXPECT_THAT(world.exits[Rank{0}].last_lines, Contains(HasSubstr("No such file")));
  expect_clean_end(world);
}

TEST(Keeper, ARankDiesWithItsKeeper) {
  AttemptWorld world(EngineKind::local, 1, {"--ignore-sigterm"});
  ASSERT_TRUE(world.start());
  ASSERT_TRUE(world.run_until([&] { return world.all_ranks_step(); }));
  ::kill(world.keepers[Rank{0}], SIGKILL);
  EXPECT_TRUE(world.run_until([&] { return world.lost.contains(Rank{0}) && world.nothing_left(); }));
  EXPECT_FALSE(world.engine_exited) << "engine local is the keeper: one loss is told once";
  expect_clean_end(world);
}

TEST(Keeper, DeliversTheEvidenceWhenItsEngineTearsItDown) {
  AttemptWorld world(EngineKind::local, 1, {"--ignore-sigterm"});
  ASSERT_TRUE(world.start());
  ASSERT_TRUE(world.run_until([&] { return world.all_ranks_step(); }));
  ::kill(world.keepers[Rank{0}], SIGTERM);
  ASSERT_TRUE(world.run_until([&] { return world.all_ranks_ended(); }));
  EXPECT_TRUE(world.exits[Rank{0}].killed_by_keeper);
  EXPECT_TRUE(world.run_until([&] { return world.engine_exited.has_value(); }));
  EXPECT_THAT(world.lost, IsEmpty());
  expect_clean_end(world);
}

TEST(Launcher, ADestroyedAttemptIsGoneEvenWhenItsKeeperIsStopped) {
  AttemptWorld world(EngineKind::local, 1);
  ASSERT_TRUE(world.start());
  ASSERT_TRUE(world.run_until([&] { return world.all_ranks_step(); }));
  ::kill(world.keepers[Rank{0}], SIGSTOP);
  world.processes->destroy();
  EXPECT_TRUE(world.run_until([&] { return world.gone; }));
  EXPECT_TRUE(world.nothing_left());
}

TEST(Launcher, AnEngineThatCannotBeStartedIsAFailureThatNamesIt) {
  AttemptWorld world(EngineKind::local, 1);
  world.request.keeper = "/nonexistent/ftkeeper";
  const auto started = world.start();
  ASSERT_FALSE(started);
  EXPECT_EQ(started.error().kind, FaultKind::launch_failed);
  EXPECT_THAT(started.error().what, HasSubstr("/nonexistent/ftkeeper"));
}

// ---- under mpirun
class UnderMpirun : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!testing::have_mpirun())
      GTEST_SKIP() << "mpirun is not installed here: the tests of the mpirun engine do not run";
  }
};

TEST_F(UnderMpirun, EveryRankStepsAndTheAttemptEndsClean) {
  AttemptWorld world(EngineKind::mpirun, 3, {"--steps", "5"});
  ASSERT_TRUE(world.start());
  ASSERT_TRUE(world.run_until([&] { return world.all_ranks_ended(); })) << ::testing::PrintToString(world.engine_log);
  for (int rank = 0; rank < 3; ++rank) EXPECT_EQ(world.finished[Rank{rank}].step, 5);
  EXPECT_THAT(world.lost, IsEmpty());
  expect_clean_end(world);
}

TEST_F(UnderMpirun, TheOthersLiveOnUntilTheyAreToldWhenOneIsKilled) {
  AttemptWorld world(EngineKind::mpirun, 3);
  ASSERT_TRUE(world.start());
  ASSERT_TRUE(world.run_until([&] { return world.all_ranks_step(); }));
  ::kill(world.ranks[Rank{1}], SIGKILL);
  ASSERT_TRUE(world.run_until([&] { return world.exits.contains(Rank{1}); }));
  EXPECT_EQ(world.exits.size(), 1u);
  world.processes->kill_ranks();
  ASSERT_TRUE(world.run_until([&] { return world.all_ranks_ended(); }));
  EXPECT_FALSE(world.exits[Rank{1}].killed_by_keeper);
  EXPECT_TRUE(world.exits[Rank{0}].killed_by_keeper);
  EXPECT_TRUE(world.exits[Rank{2}].killed_by_keeper);
  expect_clean_end(world);
}

TEST_F(UnderMpirun, EveryRankIsAccountedForWhenAKeeperIsKilled) {
  AttemptWorld world(EngineKind::mpirun, 3);
  ASSERT_TRUE(world.start());
  ASSERT_TRUE(world.run_until([&] { return world.all_ranks_step(); }));
  ::kill(world.keepers[Rank{2}], SIGKILL);
  ASSERT_TRUE(world.run_until([&] { return world.lost.contains(Rank{2}); }));
  world.processes->kill_ranks();
  EXPECT_TRUE(world.run_until([&] { return world.exits.size() + world.lost.size() == 3; }));
  expect_clean_end(world);
}

TEST_F(UnderMpirun, KeepersOutliveAKilledMpirunAndStillConfirm) {
  AttemptWorld world(EngineKind::mpirun, 2);
  ASSERT_TRUE(world.start());
  ASSERT_TRUE(world.run_until([&] { return world.all_ranks_step(); }));
  const auto keeper = process_stat(world.keepers[Rank{0}]);
  ASSERT_TRUE(keeper.has_value());
  ::kill(keeper->parent, SIGKILL);
  ASSERT_TRUE(world.run_until([&] { return world.engine_exited.has_value(); }));
  EXPECT_EQ(world.engine_exited->status.code, SIGKILL);
  world.processes->kill_ranks();
  EXPECT_TRUE(world.run_until([&] { return world.all_ranks_ended(); }));
  EXPECT_THAT(world.lost, IsEmpty());
  expect_clean_end(world);
}

TEST_F(UnderMpirun, NothingIsLeftWhenTheLauncherIsKilled) {
  AttemptWorld world(EngineKind::mpirun, 2, {"--fork-child"});
  const pid_t launcher = ::fork();
  if (launcher == 0) {  // a launcher of its own process, which is then killed without a chance to clean up
    const bool started = static_cast<bool>(world.start());
    if (started) world.run_until([] { return false; }, std::chrono::minutes(2));
    ::_exit(1);
  }
  // mpirun, and a keeper, a rank and its child for each of the two.
  const bool up = world.run_until([&] { return processes_marked(world.marker).size() >= 7; });
  ::kill(launcher, SIGKILL);
  ::waitpid(launcher, nullptr, 0);
  EXPECT_TRUE(up);
  EXPECT_TRUE(world.run_until([&] { return world.nothing_left(); }));
}

}  // namespace
}  // namespace ftl
