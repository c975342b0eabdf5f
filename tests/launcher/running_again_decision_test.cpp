#include "launcher/running_again.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "launcher/last_verdict.h"

namespace ftl {
namespace {

struct Story {
  PreviousRun previous;
  NewRun now;
  Story() {
    previous.step = 7;
    previous.config = RunConfig{};
    previous.inputs_hash = now.inputs_hash = "abc";
  }
  Story& ended(const char* state) {
    previous.state = state;
    return *this;
  }
  Story& by(FaultKind kind, bool retryable) {
    previous.state = "failed";
    previous.last_verdict = kind;
    previous.last_verdict_retryable = retryable;
    previous.last_fix = "do this";
    return *this;
  }
  StartDecision decision() const { return decide_start(previous, now); }
};

TEST(RunningAgain, StartsInANewDirectory) { EXPECT_EQ(decide_start(std::nullopt, {}).mode, StartMode::fresh); }

TEST(RunningAgain, SaysThatAFinishedRunIsFinished) {
  EXPECT_EQ(Story().ended("finished").decision().mode, StartMode::already_finished);
}

TEST(RunningAgain, ResumesWhatWasInterrupted) {
  EXPECT_EQ(Story().ended("stopped").decision().mode, StartMode::resume);
  EXPECT_EQ(Story().ended("failed").decision().mode, StartMode::resume) << "a launcher that was killed left no verdict";
}

TEST(RunningAgain, RefusesWhatARetryCannotMendUntilSomethingChanges) {
  Story story;
  story.by(FaultKind::collective_mismatch, false);
  const StartDecision refused = story.decision();
  ASSERT_EQ(refused.mode, StartMode::refused);
  EXPECT_EQ(refused.failure->kind, FaultKind::not_retryable_again);
  EXPECT_THAT(refused.failure->fix, testing::HasSubstr("do this"));
  Story forced = story;
  forced.now.config.resume = "force";
  EXPECT_EQ(forced.decision().mode, StartMode::resume);
  Story changed = story;
  changed.now.config.nodes = 2;
  EXPECT_EQ(changed.decision().mode, StartMode::resume);
  Story without_fault = story;
  without_fault.previous.injected = {"fault=skip_collective,rank=1,step=2"};
  EXPECT_EQ(without_fault.decision().mode, StartMode::resume);
}

TEST(RunningAgain, ResumesAfterARetryableVerdict) {
  EXPECT_EQ(Story().by(FaultKind::rank_killed, true).decision().mode, StartMode::resume);
}

TEST(RunningAgain, GetsPastALossSpikeWhereTheConfigurationSaysSo) {
  Story story;
  story.by(FaultKind::loss_spike, true).previous.last_verdict_step = 7;
  EXPECT_EQ(story.decision().accepted_spike, 8);
  EXPECT_THAT(story.decision().message, testing::HasSubstr("step 8 is replayed, and applied"));
  story.now.config.recovery.loss_spike = "stop";
  EXPECT_EQ(story.decision().accepted_spike, 0);
  EXPECT_EQ(Story().by(FaultKind::rank_killed, true).decision().accepted_spike, 0);
}

TEST(RunningAgain, ResumesAfterAVerdictThatPreflightHasJustJudgedAnew) {
  EXPECT_EQ(Story().by(FaultKind::file_not_found, false).decision().mode, StartMode::resume);
  EXPECT_EQ(Story().by(FaultKind::dataset_unreadable, false).decision().mode, StartMode::resume);
}

TEST(RunningAgain, RefusesAnotherIdentityUnlessToldToStartOver) {
  Story story;
  story.ended("stopped").now.config.learning_rate = 1;
  ASSERT_EQ(story.decision().mode, StartMode::refused);
  EXPECT_EQ(story.decision().failure->kind, FaultKind::run_identity_changed);
  EXPECT_THAT(story.decision().failure->what, testing::HasSubstr("learning_rate"));
  story.now.config.resume = "never";
  EXPECT_EQ(story.decision().mode, StartMode::start_over);
}

TEST(RunningAgain, GoesOnWhenOneOfTheRunsOwnFilesIsMissing) {
  Story story;
  story.ended("failed");
  story.previous.missing = "run.json";
  story.previous.config.reset();
  story.previous.inputs_hash.clear();
  const StartDecision decision = story.decision();
  EXPECT_EQ(decision.mode, StartMode::resume);
  EXPECT_THAT(decision.message, testing::HasSubstr("run.json"));
  story.by(FaultKind::collective_mismatch, false);
  EXPECT_EQ(story.decision().mode, StartMode::resume) << "what changed since cannot be told";
}

TEST(RunningAgain, RefusesAnotherPlatformWithBothNamedUnlessForced) {
  NewRun now;
  now.platform = "OpenBLAS, avx2, fttrain 1";
  EXPECT_FALSE(judge_platform("OpenBLAS, avx2, fttrain 1", now));
  const auto refused = judge_platform("OpenBLAS, avx2, fttrain 2", now);
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->kind, FaultKind::platform_changed);
  EXPECT_EQ(exit_code(refused->kind), 3);
  EXPECT_THAT(refused->what, testing::AllOf(testing::HasSubstr("fttrain 1"), testing::HasSubstr("fttrain 2")));
  EXPECT_THAT(refused->fix, testing::HasSubstr("--resume force"));
  now.config.resume = "force";
  EXPECT_FALSE(judge_platform("OpenBLAS, avx2, fttrain 2", now));
}

TEST(RunningAgain, CountsAnotherBinaryAsAChangeAfterAVerdict) {
  Story story;
  story.by(FaultKind::collective_mismatch, false).now.platform = "a mended binary";
  EXPECT_EQ(story.decision().mode, StartMode::resume);
}

TEST(RunningAgain, RefusesOtherDataUnderTheSameName) {
  Story story;
  story.ended("finished").now.inputs_hash = "def";
  EXPECT_EQ(story.decision().mode, StartMode::refused);
}

TEST(LastVerdict, FindsTheSettingsOfAFix) {
  EXPECT_THAT(settings_in("lower the batch: --set per_device_train_batch_size=1, or --set cutoff_len=64."),
              testing::ElementsAre("per_device_train_batch_size=1", "cutoff_len=64"));
  EXPECT_TRUE(settings_in("no setting --set").empty());
}

}  // namespace
}  // namespace ftl
