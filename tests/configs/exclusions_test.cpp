// What excludes each other, and what of it is well alone.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/configs/config_text.h"

namespace ftl {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::HasSubstr;
using testing::Not;

TEST(ConfigExclusions, OneOfTheTwoWarmups) {
  for (const char* text : {"warmup_steps: 3\nwarmup_ratio: 0.1\n", "warmup_ratio: 0.1\nwarmup_steps: 3\n"}) {
    const Result<ReadConfig> both = read(smallest + text);
    ASSERT_FALSE(both) << text;
    EXPECT_THAT(both.error().what, AllOf(HasSubstr("warmup_steps is 3"), HasSubstr("warmup_ratio is 0.1")));
    EXPECT_THAT(both.error().what + both.error().where, AllOf(HasSubstr("run.yaml:3:"), HasSubstr("run.yaml:4:")));
  }
  EXPECT_EQ(good(smallest + "warmup_steps: 3\n").warmup_steps, 3);
  EXPECT_EQ(good(smallest + "warmup_ratio: 0.1\n").warmup_ratio, 0.1);
  EXPECT_EQ(good(smallest + "warmup_ratio: 0.1\nwarmup_steps: 0\n").warmup_ratio, 0.1);
}

TEST(ConfigExclusions, EvaluationNeedsExamplesHeldBack) {
  const Result<ReadConfig> none = read(smallest + "eval_steps: 10\n");
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().kind, FaultKind::config_invalid_value);
  EXPECT_THAT(none.error().what, AllOf(HasSubstr("eval_steps is 10"), HasSubstr("val_set_size is 0")));
  EXPECT_THAT(none.error().where, HasSubstr("run.yaml:3:13"));
  EXPECT_EQ(good(smallest + "eval_steps: 10\nval_set_size: 0.1\n").eval_steps, 10);
  EXPECT_EQ(good(smallest + "val_set_size: 0.1\n").val_set_size, 0.1);
  EXPECT_EQ(good(smallest + "eval_steps: 0\n").eval_steps, 0);
}

TEST(ConfigExclusions, ShareOrNumberOfExamples) {
  EXPECT_FALSE(read(smallest + "val_set_size: 2.5\n"));
  EXPECT_EQ(good(smallest + "val_set_size: 2\n").val_set_size, 2);
  EXPECT_EQ(good(smallest + "val_set_size: 0.5\n").val_set_size, 0.5);
}

std::vector<std::string> notes_of(const std::string& text) {
  const Result<ReadConfig> got = read(smallest + text);
  EXPECT_TRUE(got) << text;
  return got ? got->notes : std::vector<std::string>{};
}

TEST(ConfigExclusions, StepsDecideOverEpochs) {
  EXPECT_THAT(notes_of("max_steps: 5\nnum_train_epochs: 2\n"), Contains("max_steps 5 overrides num_train_epochs 2"));
  EXPECT_THAT(notes_of("max_steps: 5\n"), Not(Contains(HasSubstr("overrides"))));
  EXPECT_THAT(notes_of("num_train_epochs: 2\n"), Not(Contains(HasSubstr("overrides"))));
}

TEST(ConfigExclusions, TheGlobalBatchDecidesOverAccumulation) {
  EXPECT_THAT(notes_of("gradient_accumulation_steps: 5\nglobal_batch_size: 6\n"), Contains(HasSubstr("is ignored")));
  EXPECT_THAT(notes_of("gradient_accumulation_steps: 5\n"), Contains(HasSubstr("global_batch_size is 5")));
  EXPECT_THAT(notes_of("global_batch_size: 6\n"), Not(Contains(HasSubstr("global_batch_size"))));
}

TEST(ConfigExclusions, KeysOfAnAdapterThatIsNotThere) {
  EXPECT_THAT(notes_of("adapter: none\nlora_rank: 4\n"), Contains("lora_rank has no effect: adapter is none"));
  EXPECT_THAT(notes_of("adapter: none\n"), Not(Contains(HasSubstr("no effect"))));
  EXPECT_THAT(notes_of("lora_rank: 4\n"), Not(Contains(HasSubstr("no effect"))));
}

TEST(ConfigExclusions, AnUnusualScaleIsSaid) {
  EXPECT_THAT(notes_of("lora_rank: 4\nlora_alpha: 160\n"), Contains(HasSubstr("scaled by 40")));
  EXPECT_THAT(notes_of("lora_rank: 64\nlora_alpha: 8\n"), Contains(HasSubstr("scaled by 0.125")));
  EXPECT_THAT(notes_of("lora_rank: 64\nlora_alpha: 8\nuse_rslora: true\n"), Not(Contains(HasSubstr("scaled by"))));
  EXPECT_THAT(notes_of("lora_rank: 16\nlora_alpha: 64\n"), Not(Contains(HasSubstr("scaled by"))));
}

TEST(ConfigExclusions, SavesPerEpochAreStepsHere) {
  const Result<ReadConfig> got = read(smallest + "save_steps: 10\nsaves_per_epoch: 2\n");
  ASSERT_FALSE(got);
  EXPECT_THAT(got.error().fix, HasSubstr("save_steps"));
  EXPECT_EQ(good(smallest + "save_steps: 10\n").save_steps, 10);
}

}  // namespace
}  // namespace ftl
