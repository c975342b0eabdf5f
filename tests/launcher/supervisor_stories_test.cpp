// One story a row: something happens to a rank, keeper or engine at a step; what the supervisor makes of it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <ostream>
#include <set>

#include "tests/launcher/supervised_world.h"

namespace ftl {
namespace {

using World = SupervisedWorld;
using K = FaultKind;
using A = RecoveryAction;

struct Story {
  const char* name;
  int world;
  int rank;
  World::Deed deed;
  FaultKind kind;
  RecoveryAction action;
  int exit_code;
  std::vector<std::int32_t> culprits;
};
void PrintTo(const Story& story, std::ostream* out) { *out << story.name; }

OomEvidence counter_rose() { return {1, "", 1 << 30}; }

const std::vector<Story>& stories() {
  static const std::vector<Story> all{
      {"SigkillOfARank", 4, 2, World::is_killed_by(SIGKILL), K::rank_killed, A::retry, 0, {2}},
      {"SigtermOfARank", 2, 1, World::is_killed_by(SIGTERM), K::rank_killed, A::retry, 0, {1}},
      {"OomKillOfARank",
       4,
       1,
       World::is_killed_by(SIGKILL, counter_rose()),
       K::rank_killed_by_oom_killer,
       A::retry_smaller_micro_batch,
       0,
       {1}},
      {"KernelLogNamesARank",
       2,
       0,
       World::is_killed_by(SIGKILL, {0, "Out of memory: Killed process 5100", 0}),
       K::rank_killed_by_oom_killer,
       A::retry_smaller_micro_batch,
       0,
       {0}},
      {"Segfault", 4, 3, World::is_killed_by(SIGSEGV), K::rank_crashed, A::retry, 0, {3}},
      {"Abort", 1, 0, World::is_killed_by(SIGABRT), K::rank_crashed, A::retry, 0, {0}},
      {"ExitCode", 3, 0, World::exits_with(3), K::rank_crashed, A::retry, 0, {0}},
      {"ExitZeroWithoutFinishing", 2, 1, World::exits_with(0), K::rank_crashed, A::retry, 0, {1}},
      {"Stopped", 4, 1, World::stops(), K::rank_stuck, A::retry, 0, {1}},
      {"StoppedInAPair", 2, 0, World::stops(), K::rank_stuck, A::retry, 0, {0}},
      {"StoppedAlone", 1, 0, World::stops(), K::rank_stuck, A::retry, 0, {0}},
      {"HangsBeforeCollective", 4, 3, World::hangs_before_collective(), K::rank_stuck, A::retry, 0, {3}},
      {"HangsBeforeCollectiveInAPair", 2, 1, World::hangs_before_collective(), K::rank_stuck, A::retry, 0, {1}},
      {"HangsAlone", 1, 0, World::hangs_before_collective(), K::rank_stuck, A::retry, 0, {0}},
      {"SkipsCollective", 4, 2, World::skips_collective(), K::collective_mismatch, A::stop, 4, {2}},
      {"SkipsCollectiveInAPair", 2, 0, World::skips_collective(), K::collective_mismatch, A::stop, 4, {0}},
      {"GoesOnWithoutCollective", 4, 0, World::goes_on_without_collective(), K::collective_mismatch, A::stop, 4, {0}},
      {"GoesOnWithoutCollectiveInAPair",
       2,
       1,
       World::goes_on_without_collective(),
       K::collective_mismatch,
       A::stop,
       4,
       {1}},
      {"MismatchedCount", 4, 1, World::calls_with_count(500), K::collective_mismatch, A::stop, 4, {1}},
      {"MismatchedCountInAPair", 2, 1, World::calls_with_count(500), K::collective_mismatch, A::stop, 4, {1}},
      {"NanEverywhere",
       2,
       0,
       World::everyone_reports(K::loss_not_finite, "the loss is nan"),
       K::loss_not_finite,
       A::replay_step,
       0,
       {0, 1}},
      {"NanInTheSumThatOneRankMade",
       4,
       2,
       World::everyone_sees(K::loss_not_finite, "the loss is nan"),
       K::loss_not_finite,
       A::replay_step,
       0,
       {2}},
      {"HostOutOfMemory",
       2,
       1,
       World::reports(K::host_out_of_memory, "asked the host for 9000 MiB"),
       K::host_out_of_memory,
       A::retry_smaller_micro_batch,
       0,
       {1}},
      {"StorageFailed",
       2,
       0,
       World::reports(K::storage_failed, "read-only file system"),
       K::storage_failed,
       A::retry,
       0,
       {0}},
      {"AnInputThatVanished",
       2,
       1,
       World::reports(K::file_not_found, "no such file"),
       K::file_not_found,
       A::stop,
       4,
       {1}},
      {"StorageFull", 2, 0, World::reports(K::storage_full, "no space left"), K::storage_full, A::retry, 0, {0}},
      {"LossSpike",
       2,
       0,
       World::everyone_reports(K::loss_spike, "800, the median is 2"),
       K::loss_spike,
       A::replay_step,
       0,
       {0, 1}},
      {"CheckpointCorrupt",
       2,
       1,
       World::reports(K::checkpoint_corrupt, "checksum", "checkpoints/step-4"),
       K::checkpoint_corrupt,
       A::previous_checkpoint,
       0,
       {1}},
      {"LibraryError",
       4,
       2,
       World::reports(K::communication_failure, "MPI_ERR_OTHER"),
       K::communication_failure,
       A::retry,
       0,
       {2}},
      {"ConnectionDropped", 4, 1, World::loses_its_connection(), K::communication_failure, A::retry, 0, {1}},
      {"TheOnlyConnectionDropped", 1, 0, World::loses_its_connection(), K::communication_failure, A::retry, 0, {0}},
      {"KeeperKilled", 4, 1, World::loses_its_keeper(), K::keeper_lost, A::retry, 0, {1}},
      {"KeeperStopped", 4, 1, World::keeper_is_stopped(), K::keeper_lost, A::retry, 0, {1}},
      {"EngineKilled", 4, 0, World::engine_is_killed(), K::engine_lost, A::retry, 0, {-1}},
      {"BugOfOurs",
       2,
       0,
       World::reports(K::internal_error, "an invariant does not hold"),
       K::internal_error,
       A::stop,
       1,
       {0}},
  };
  return all;
}

class SupervisorStory : public ::testing::TestWithParam<Story> {};

TEST_P(SupervisorStory, GetsItsVerdictAndEndsAsItShould) {
  const Story& story = GetParam();
  SupervisorOptions options;
  options.micro_batch = 4;
  World world(story.world, options);
  world.plan(6, story.rank, story.deed).train_for(12);
  world.run_until_finished();
  ASSERT_EQ(world.verdicts().size(), 1u);
  const Verdict& verdict = world.verdicts().front();
  EXPECT_EQ(info(verdict.kind).name, info(story.kind).name) << describe(verdict);
  EXPECT_EQ(name_of(verdict.action), name_of(story.action));
  EXPECT_EQ(world.exit_code(), story.exit_code);
  std::vector<std::int32_t> culprits;
  for (const Culprit& culprit : verdict.culprits) culprits.push_back(culprit.rank);
  EXPECT_EQ(culprits, story.culprits) << describe(verdict);
  for (const std::int32_t victim : verdict.victims) EXPECT_THAT(culprits, ::testing::Not(::testing::Contains(victim)));
  EXPECT_FALSE(verdict.evidence.empty());
  EXPECT_GE(verdict.detected_after_s, 0);
  EXPECT_LE(verdict.detected_after_s, 3.0) << describe(verdict);
  EXPECT_EQ(world.attempts().size(), story.exit_code == 0 ? 2u : 1u);
  if (story.exit_code == 0) {
    std::vector<std::int64_t> every_step_once;
    for (std::int64_t step = 1; step <= 12; ++step) every_step_once.push_back(step);
    EXPECT_EQ(world.published_steps(), every_step_once);
    EXPECT_FALSE(world.has_event("steps_lost"));
  }
}

INSTANTIATE_TEST_SUITE_P(All, SupervisorStory, ::testing::ValuesIn(stories()),
                         [](const auto& story) { return story.param.name; });

TEST(SupervisorStories, ThereIsOneForEveryKindOfARun) {
  std::set<FaultKind> told{K::launch_failed, K::stopped_on_request, K::straggler};  // told below
  for (const Story& story : stories()) told.insert(story.kind);
  for (const FaultInfo& fault : fault_table) {
    if (fault.stage == Stage::run) {
      EXPECT_TRUE(told.count(fault.kind)) << fault.name << " has no story";
    }
  }
}

TEST(SupervisorStories, AHealthyRunHasNoVerdict) {
  World world(4);
  world.run_until_finished();
  EXPECT_EQ(world.exit_code(), 0);
  EXPECT_TRUE(world.verdicts().empty());
  EXPECT_EQ(world.published_steps().size(), 20u);
  EXPECT_EQ(world.status().state, RunState::finished);
}

TEST(SupervisorStories, ARankThatBecomesSlowIsNamedOnceAndTheRunGoesOn) {
  World world(4);
  world.plan(6, 2, World::becomes_slow());
  world.run_until_finished();
  EXPECT_EQ(world.exit_code(), 0);
  EXPECT_EQ(world.attempts().size(), 1u);
  ASSERT_EQ(world.verdicts().size(), 1u);
  const Verdict& verdict = world.verdicts()[0];
  EXPECT_EQ(verdict.kind, K::straggler);
  EXPECT_EQ(verdict.action, A::observe);
  ASSERT_EQ(verdict.culprits.size(), 1u);
  EXPECT_EQ(verdict.culprits[0].rank, 2);
  EXPECT_EQ(verdict.step, 10);
}

TEST(SupervisorStories, ASpikeThatComesAgainIsAcceptedOnlyWhereTheConfigurationSaysSo) {
  for (const bool stops : {false, true}) {
    SupervisorOptions options;
    if (stops) options.recovery.loss_spike = "stop";
    World world(2, options);
    for (int time = 0; time < 2; ++time) world.plan(6, 0, World::everyone_reports(K::loss_spike, "800"));
    world.run_until_finished();
    ASSERT_EQ(world.verdicts().size(), 2u);
    EXPECT_EQ(world.verdicts()[0].action, A::replay_step);
    EXPECT_EQ(world.verdicts()[1].action, stops ? A::stop : A::replay_step);
    EXPECT_EQ(world.exit_code(), stops ? 4 : 0);
    EXPECT_EQ(world.attempts().back().accepted_spike, stops ? 0 : 6);
  }
}

TEST(SupervisorStories, ASpikeWithoutRecoveryEndsTheRunAndSaysWhetherTheNextStartGetsPastIt) {
  for (const bool stops : {false, true}) {
    SupervisorOptions options;
    options.recovery.enabled = false;
    if (stops) options.recovery.loss_spike = "stop";
    World world(2, options);
    world.plan(6, 0, World::everyone_reports(K::loss_spike, "800"));
    world.run_until_finished();
    EXPECT_EQ(world.exit_code(), 4);
    ASSERT_EQ(world.verdicts().size(), 1u);
    EXPECT_EQ(world.verdicts()[0].action, A::stop);
    const std::string why = world.verdicts()[0].evidence.back().fact;
    if (stops)
      EXPECT_EQ(why, "recovery.enabled is false");
    else
      EXPECT_THAT(why, ::testing::HasSubstr("the same command replays step 6, and applies it"));
  }
}

TEST(SupervisorStories, ASpikeThatTheStartHasAcceptedIsToldToTheRanks) {
  SupervisorOptions options;
  options.accepted_spike = 6;
  World world(2, options);
  world.run_until_finished();
  EXPECT_EQ(world.attempts().at(0).accepted_spike, 6);
}

TEST(SupervisorStories, WhoMadeABadSumIsNamedEvenIfItSpeaksLast) {
  World world(2);
  world.plan(6, 0, World::reports(K::loss_not_finite, "the loss is nan", "step 6")).run(2.4);
  ASSERT_TRUE(world.verdicts().empty());
  const Failure own{K::loss_not_finite, "the loss is nan", "rank 1, step 6", ""};
  world.tell(RankReported{world.attempt(), Rank{1}, ReportFailure{own, 5}});
  world.run_until_finished();
  ASSERT_EQ(world.verdicts().size(), 1u);
  ASSERT_EQ(world.verdicts()[0].culprits.size(), 1u);
  EXPECT_EQ(world.verdicts()[0].culprits[0].rank, 1);
}

// Some try meets the room that somebody has made; none of them costs a step.
TEST(SupervisorStories, StorageWithoutRoomIsWaitedForMoreThanAMinute) {
  for (const int tries : {8, 11}) {
    World world(2);
    for (int time = 0; time < tries; ++time) world.plan(6, 0, World::reports(K::storage_full, "no space left"));
    world.run_until_finished(400);
    ASSERT_EQ(world.verdicts().size(), static_cast<std::size_t>(tries));
    EXPECT_GT(world.seconds(), 60);
    EXPECT_EQ(world.verdicts().back().action, tries == 8 ? A::retry : A::stop);
    EXPECT_EQ(world.exit_code(), tries == 8 ? 0 : 4);
    EXPECT_FALSE(world.has_event("steps_lost"));
  }
}

TEST(SupervisorStories, StorageThatFailsAtTheSameStepAgainEndsTheRun) {
  World world(2);
  for (int time = 0; time < 2; ++time) world.plan(6, 0, World::reports(K::storage_failed, "input/output error"));
  world.run_until_finished();
  ASSERT_EQ(world.verdicts().size(), 2u);
  EXPECT_EQ(world.verdicts()[0].action, A::retry);
  EXPECT_EQ(world.verdicts()[1].action, A::stop);
  EXPECT_EQ(world.exit_code(), 4);
}

// Before any rank had started, what preflight judges is a refusal still.
TEST(SupervisorStories, AnInputThatVanishesBeforeTheStartIsRefusedAsPreflightWouldHaveDone) {
  Supervisor supervisor(SupervisorOptions{});
  TimePoint now;
  (void)supervisor.start(now);
  const Failure vanished{K::file_not_found, "no such file", "data.jsonl", ""};
  int code = -1;
  const std::vector<Event> story{RankReported{Attempt{1}, Rank{0}, ReportFailure{vanished, 0}},
                                 AttemptGone{Attempt{1}}};
  for (const Event& event : story) {
    for (const Command& command : supervisor.on(event, now)) {
      if (const Finish* finish = std::get_if<Finish>(&command)) code = finish->exit_code;
    }
  }
  EXPECT_EQ(code, 2);
}

TEST(SupervisorStories, ALaunchThatFailsOnceIsTriedAgain) {
  World world(2);
  world.launches_fail(1, "no slots available").run_until_finished();
  ASSERT_EQ(world.verdicts().size(), 1u);
  EXPECT_EQ(world.verdicts()[0].kind, K::launch_failed);
  EXPECT_THAT(world.verdicts()[0].evidence[0].fact, ::testing::StartsWith("no slots available"));
  EXPECT_EQ(world.exit_code(), 0);
}

TEST(SupervisorStories, ALaunchThatFailsTwiceWithTheSameErrorStops) {
  World world(2);
  world.launches_fail(9, "no slots available").run_until_finished();
  EXPECT_EQ(world.verdicts().size(), 2u);
  EXPECT_EQ(world.verdicts().back().action, A::stop);
  EXPECT_EQ(world.exit_code(), 4);
}

TEST(SupervisorStories, ACrashThatRepeatsAtItsStepStops) {
  World world(2);
  world.plan(6, 1, World::is_killed_by(SIGSEGV)).plan(6, 1, World::is_killed_by(SIGSEGV)).run_until_finished();
  ASSERT_EQ(world.verdicts().size(), 2u);
  EXPECT_EQ(world.verdicts()[0].action, A::retry);
  EXPECT_EQ(world.verdicts()[1].action, A::stop);
  EXPECT_EQ(world.exit_code(), 4);
  EXPECT_EQ(world.status().state, RunState::failed);
}

TEST(SupervisorStories, AVictimsLibraryErrorDoesNotHideTheDeath) {
  World world(4);
  world.plan(6, 0, World::reports(K::communication_failure, "connection reset by peer"))
      .plan(6, 1, World::reports(K::communication_failure, "connection reset by peer"))
      .plan(6, 3, World::is_killed_by(SIGKILL))
      .run_until_finished();
  EXPECT_EQ(world.verdicts()[0].kind, K::rank_killed);
  EXPECT_EQ(world.verdicts()[0].culprits[0].rank, 3);
}

TEST(SupervisorStories, LessMemoryIsAskedForUntilThereIsNothingToGiveUp) {
  SupervisorOptions options;
  options.micro_batch = 2;
  World world(2, options);
  world.plan(3, 0, World::is_killed_by(SIGKILL, counter_rose()))
      .plan(3, 0, World::is_killed_by(SIGKILL, counter_rose()))
      .run_until_finished();
  ASSERT_EQ(world.attempts().size(), 2u);
  EXPECT_EQ(world.attempts()[1].micro_batch, 1);
  EXPECT_EQ(world.verdicts()[1].action, A::stop);
  EXPECT_EQ(world.exit_code(), 4);
}

TEST(SupervisorStories, AFaultThatFiredIsNotPlantedAgain) {
  SupervisorOptions options;
  FaultSpec fault;
  fault.fault = "sigkill";
  fault.text = "fault=sigkill,rank=1,step=6";
  options.faults = {fault};
  World world(2, options);
  world.plan(6, 1, World::announces(fault.text, World::is_killed_by(SIGKILL))).run_until_finished();
  ASSERT_EQ(world.attempts().size(), 2u);
  EXPECT_EQ(world.attempts()[0].faults.size(), 1u);
  EXPECT_TRUE(world.attempts()[1].faults.empty());
  EXPECT_TRUE(world.has_event("fault_fired"));
}

TEST(SupervisorStories, ADamagedCheckpointIsPassedOver) {
  World world(2);
  world.plan(6, 1, World::reports(K::checkpoint_corrupt, "checksum", "checkpoints/step-4")).run_until_finished();
  EXPECT_THAT(world.attempts()[1].pass_over, ::testing::ElementsAre("checkpoints/step-4"));
}

TEST(SupervisorStories, ADamagedCheckpointThatIsWrittenAnewIsNotPassedOverAnyMore) {
  World world(2);
  world.plan(6, 1, World::reports(K::checkpoint_corrupt, "checksum", "checkpoints/step-4/optimizer.safetensors"));
  world.plan(8, 1, [](World& it, Rank rank) {
    it.tell(RankReported{it.attempt(), rank, ReportCheckpoint{4, "checkpoints/step-4", 0.1}});
    World::is_killed_by(SIGKILL)(it, rank);
  });
  world.run_until_finished();
  ASSERT_EQ(world.attempts().size(), 3u);
  EXPECT_EQ(world.attempts()[1].pass_over.size(), 1u);
  EXPECT_TRUE(world.attempts()[2].pass_over.empty());
}

TEST(SupervisorStories, OneSignalStopsAfterTheStep) {
  World world(4);
  world.run(3);
  world.signal(1);
  world.run_until_finished(5);
  EXPECT_EQ(world.exit_code(), 5);
  ASSERT_EQ(world.verdicts().size(), 1u);
  EXPECT_EQ(world.verdicts()[0].kind, K::stopped_on_request);
  EXPECT_EQ(world.status().state, RunState::stopped);
  EXPECT_EQ(world.attempts().size(), 1u);
}

TEST(SupervisorStories, TwoSignalsStopAtOnce) {
  for (const auto& [reason, code] : {std::pair("SIGINT", 130), std::pair("SIGTERM", 143)}) {
    World world(2);
    world.run(1);
    world.signal(1, reason);
    world.signal(2, reason);
    world.run_until_finished(1);
    EXPECT_EQ(world.exit_code(), code);
  }
}

TEST(SupervisorStories, ARankThatCannotBeEndedEndsTheRunByItsVerdictAndIsNamed) {
  World world(2);
  world.plan(6, 1, World::cannot_be_ended()).run_until_finished(60);
  ASSERT_EQ(world.verdicts().size(), 1u);
  EXPECT_EQ(world.verdicts()[0].kind, K::rank_stuck);
  EXPECT_EQ(world.exit_code(), 4);
  EXPECT_EQ(world.attempts().size(), 1u) << "nothing is started beside what is left";
  EXPECT_EQ(world.named_survivors(), 1);
}

TEST(SupervisorStories, TwoSignalsEndARunWhoseTeardownIsNeverConfirmed) {
  World world(2);
  world.plan(3, 1, World::cannot_be_ended()).run(2.5);
  world.signal(1, "SIGTERM");
  world.signal(2, "SIGTERM");
  world.run_until_finished(2.5);
  EXPECT_EQ(world.exit_code(), 143);
  EXPECT_EQ(world.named_survivors(), 1);
}

TEST(SupervisorStories, ASecondSignalDuringATeardownThatHangsEndsItToo) {
  World world(2);
  world.plan(3, 1, World::cannot_be_ended()).run(20);
  ASSERT_EQ(world.status().state, RunState::recovering);
  world.signal(1);
  EXPECT_FALSE(world.finished());
  world.signal(2);
  EXPECT_TRUE(world.finished());
  EXPECT_EQ(world.exit_code(), 130);
}

TEST(SupervisorStories, ASignalDuringTheTeardownOfAFinalVerdictChangesNothing) {
  for (const int signals : {1, 2}) {
    World world(2);
    world.plan(5, 0, World::outlives_every_signal()).plan(6, 1, World::calls_with_count(7));
    for (int i = 0; i < 1000 && world.verdicts().empty(); ++i) world.run(0.05);
    ASSERT_FALSE(world.finished());
    for (int count = 1; count <= signals; ++count) world.signal(count);
    world.run_until_finished();
    EXPECT_EQ(world.exit_code(), 4);
    EXPECT_EQ(world.verdicts().back().kind, K::collective_mismatch);
  }
}

TEST(SupervisorStories, ASignalWhileARankIsStillStartingEndsTheRunAtOnce) {
  World world(2);
  world.never_begins(1).run(3);
  ASSERT_EQ(world.status().state, RunState::starting);
  world.signal(1, "SIGTERM");
  world.run_until_finished(1);
  EXPECT_EQ(world.exit_code(), 5);
  EXPECT_EQ(world.verdicts().back().kind, K::stopped_on_request);
}

TEST(SupervisorStories, SoDoesOneBeforeTheFirstStepOfAnAttempt) {
  World world(2);
  world.plan(1, 1, World::hangs_before_collective()).run(1.5);
  ASSERT_EQ(world.status().state, RunState::running);
  world.signal(1, "SIGTERM");
  world.run_until_finished(1);
  EXPECT_EQ(world.exit_code(), 5);
}

TEST(SupervisorStories, ARankThatDiesAfterAllWorkIsDoneHoldsNobodyUp) {
  World world(3);
  world.train_for(3).linger_after_finishing().run(3);
  ASSERT_FALSE(world.finished());
  ExitEvidence end;
  end.status = {true, SIGKILL, false};
  world.tell(RankExited{world.attempt(), Rank{1}, end});
  world.run_until_finished(0.5);
  EXPECT_EQ(world.exit_code(), 0);
  EXPECT_TRUE(world.verdicts().empty());
}

TEST(SupervisorStories, RanksThatNeverLeaveAfterAllWorkIsDoneAreEndedAndTheRunIsFinished) {
  World world(2);
  world.train_for(3).linger_after_finishing().run_until_finished(200);
  EXPECT_EQ(world.exit_code(), 0);
  EXPECT_TRUE(world.verdicts().empty());
}

TEST(SupervisorStories, AFaultThatNeverFiredIsNamedAtTheEnd) {
  SupervisorOptions options;
  FaultSpec fault;
  fault.fault = "sigkill";
  fault.text = "fault=sigkill,rank=1,step=600";
  options.faults = {fault};
  World world(2, options);
  world.run_until_finished();
  EXPECT_EQ(world.exit_code(), 0);
  EXPECT_TRUE(world.has_event("fault_not_fired"));
  EXPECT_THAT(world.status().faults_left, ::testing::ElementsAre(fault.text));
}

TEST(SupervisorStories, ASignalDuringTheBackoffEndsTheRun) {
  SupervisorOptions options;
  options.recovery.backoff_seconds = 20;
  World world(2, options);
  world.plan(3, 1, World::is_killed_by(SIGKILL)).run(4);
  ASSERT_EQ(world.status().state, RunState::recovering);
  world.signal(1);
  EXPECT_TRUE(world.finished());
  EXPECT_EQ(world.exit_code(), 5);
  EXPECT_EQ(world.attempts().size(), 1u);
}

TEST(SupervisorStories, ARankThatDiesWhileTheRunStopsIsNamedAndNotRetried) {
  World world(2);
  world.plan(4, 1, World::is_killed_by(SIGKILL)).run(1.2);
  world.signal(1);
  world.run_until_finished(10);
  EXPECT_EQ(world.exit_code(), 5);
  EXPECT_EQ(world.attempts().size(), 1u);
}

TEST(SupervisorStories, EventsOfAnOlderAttemptChangeNothing) {
  World world(2);
  world.plan(3, 1, World::is_killed_by(SIGKILL)).run(6);
  ASSERT_EQ(world.attempt(), Attempt{2});
  const std::size_t verdicts = world.verdicts().size();
  ExitEvidence late;
  late.status = {true, SIGSEGV, false};
  world.tell(RankExited{Attempt{1}, Rank{0}, late});
  world.tell(KeeperLost{Attempt{1}, Rank{0}, "late"});
  world.tell(RankReported{Attempt{1}, Rank{0}, ReportFailure{{K::internal_error, "late", "", ""}, 2}});
  world.run_until_finished();
  EXPECT_EQ(world.verdicts().size(), verdicts);
  EXPECT_EQ(world.exit_code(), 0);
}

TEST(SupervisorStories, ASuspendedMachineIsNotAStuckRank) {
  World world(4);
  world.run(3);
  world.suspend(3600);
  world.run_until_finished();
  EXPECT_TRUE(world.verdicts().empty());
}

TEST(SupervisorStories, AStepThatMustBeRepeatedIsRecordedAsLost) {
  World world(1);
  world.run(3);
  world.tell(RankReported{world.attempt(), Rank{0}, ReportStep{19, 1, 1, 1, 1, 0.4}});
  ExitEvidence end;
  end.status = {true, SIGKILL, false};
  world.tell(RankExited{world.attempt(), Rank{0}, end});
  world.run(2);
  EXPECT_TRUE(world.has_event("steps_lost"));
}

}  // namespace
}  // namespace ftl
