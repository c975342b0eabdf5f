#include "launcher/resume_choice.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stdlib.h>

#include <filesystem>

#include "checkpoints/training_state.h"

namespace ftl {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;

class ResumeChoiceTest : public testing::Test {
 protected:
  ResumeChoiceTest() {
    std::string pattern = testing::TempDir() + "ftl-resume-XXXXXX";
    root = ::mkdtemp(pattern.data());
    spec.run_directory = root + "/out";
    spec.state_directory = root + "/state";
    spec.run_identity = "this run";
    fs::create_directories(root + "/state/hot");
  }
  ~ResumeChoiceTest() override { fs::remove_all(root); }

  std::vector<TrainableView> views() { return {{"w", {2}, values, exp_avg, exp_avg_sq}}; }
  void checkpoint(std::int64_t step, const std::string& identity = "this run") {
    const auto tensors = views();
    ASSERT_TRUE(
        write_checkpoint(files, root + "/out/checkpoints", 1, "adapter", tensors, state_of(step, identity), {}));
  }
  void hot(int rank, std::int64_t step) {
    const auto tensors = views();
    auto state = HotState::open(spec.hot_state_path(Rank{rank}), 1, tensors);
    ASSERT_TRUE(state);
    state->save(tensors, state_of(step, "this run"));
  }
  static TrainerState state_of(std::int64_t step, const std::string& identity) {
    TrainerState state;
    state.step = step;
    state.run_identity = identity;
    return state;
  }
  std::string step_directory(int step) const { return root + "/out/checkpoints/step-" + std::to_string(step); }

  std::string root;
  ProcessSpec spec;
  PosixFiles files;
  std::vector<float> values{1, 2}, exp_avg{0, 0}, exp_avg_sq{0, 0};
};

TEST_F(ResumeChoiceTest, TakesTheNewestState) {
  EXPECT_EQ(newest_state(files, spec).resume_from, "");
  checkpoint(4);
  checkpoint(8);
  EXPECT_EQ(newest_state(files, spec).resume_from, step_directory(8));
  hot(0, 8);
  EXPECT_EQ(newest_state(files, spec).resume_from, "hot:8") << "it needs no disk";
}

TEST_F(ResumeChoiceTest, DoesNotTakeAgainWhatTheRanksCouldNotUse) {
  checkpoint(4);
  checkpoint(8);
  const ResumeChoice choice = newest_state(files, spec, {step_directory(8) + "/optimizer.safetensors"});
  EXPECT_EQ(choice.resume_from, step_directory(4));
  EXPECT_THAT(choice.passed_over, ElementsAre(HasSubstr("a rank could not use it")));
  EXPECT_EQ(newest_state(files, spec, {step_directory(8), step_directory(4)}).resume_from, "");
}

TEST_F(ResumeChoiceTest, PassesOverTheHotStateOfOneStepAndNotOfLaterOnes) {
  checkpoint(4);
  hot(0, 8);
  hot(1, 7);
  EXPECT_EQ(newest_state(files, spec, {"hot:8"}).resume_from, "hot:7");
  EXPECT_EQ(newest_state(files, spec, {"hot:8", "hot:7"}).resume_from, step_directory(4));
  hot(0, 9);
  EXPECT_EQ(newest_state(files, spec, {"hot:8"}).resume_from, "hot:9");
}

TEST_F(ResumeChoiceTest, TakesTheStepBeforeADamagedOneFromTheSameHotState) {
  checkpoint(4);
  hot(0, 7);
  hot(0, 8);
  EXPECT_EQ(newest_state(files, spec, {"hot:8"}).resume_from, "hot:7");
  EXPECT_EQ(newest_state(files, spec, {"hot:8", "hot:7"}).resume_from, step_directory(4));
}

TEST_F(ResumeChoiceTest, SaysWhenOnlyAnotherRunsCheckpointsAreThere) {
  checkpoint(4, "another run");
  const ResumeChoice choice = newest_state(files, spec);
  EXPECT_EQ(choice.resume_from, "");
  EXPECT_TRUE(choice.has_foreign);
}

}  // namespace
}  // namespace ftl
