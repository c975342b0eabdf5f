#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <random>
#include <utility>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "checkpoints/training_state.h"
#include "tests/checkpoints/fresh_directory.h"
#include "tests/checkpoints/some_tensors.h"

namespace ftl {
namespace {

TrainerState state_of(std::int64_t step) { return {step, 0.5, "identity", "platform"}; }

void save(HotState& hot, std::int64_t step, std::size_t width = 5) {
  SomeTensors tensors(static_cast<float>(step), width);
  hot.save(tensors.views(), state_of(step));
}

HotState open(const std::string& path, std::int32_t attempt, std::size_t width = 5) {
  SomeTensors tensors(0, width);
  Result<HotState> hot = HotState::open(path, attempt, tensors.views());
  EXPECT_TRUE(hot) << (hot ? "" : describe(hot.error()));
  return std::move(hot).value();
}

std::int64_t newest_step(const std::string& path) {
  const Result<std::optional<TrainerState>> found = inspect_hot_state(path);
  EXPECT_TRUE(found);
  return found && *found ? (*found)->step : -1;
}

bool reads_exactly(const std::string& path, std::int64_t step, std::size_t width = 5) {
  SomeTensors got(-1, width), wanted(static_cast<float>(step), width);
  const Result<TrainerState> state = read_hot_state(path, step, got.views());
  return state && state->step == step && got == wanted;
}

TEST(HotState, KeepsTheLastTwoSteps) {
  const FreshDirectory directory;
  const std::string path = directory / "hot";
  EXPECT_EQ(newest_step(path), -1);
  HotState hot = open(path, 1);
  EXPECT_EQ(newest_step(path), -1);
  for (std::int64_t step = 1; step <= 5; ++step) {
    save(hot, step);
    EXPECT_EQ(newest_step(path), step);
    EXPECT_TRUE(reads_exactly(path, step));
    EXPECT_EQ(reads_exactly(path, step - 1), step > 1);
    EXPECT_FALSE(reads_exactly(path, step - 2));
  }
}

TEST(HotState, GivesSignsOfLifeWhileItIsSavedOpenedAndRead) {
  const FreshDirectory directory;
  int signs = 0;
  const SignOfLife sign_of_life = [&] { ++signs; };
  SomeTensors tensors;
  open(directory / "hot", 1).save(tensors.views(), state_of(1), sign_of_life);
  EXPECT_GE(std::exchange(signs, 0), 9) << "for the values and the moments of each tensor";
  EXPECT_TRUE(HotState::open(directory / "hot", 2, tensors.views(), sign_of_life));
  EXPECT_GE(std::exchange(signs, 0), 1);
  EXPECT_TRUE(read_hot_state(directory / "hot", 1, tensors.views(), sign_of_life));
  EXPECT_GE(signs, 11) << "for reading, for the checksum and for each copy";
}

TEST(HotState, OutlivesItsOwnerAndTheNextAttemptGoesOn) {
  const FreshDirectory directory;
  const std::string path = directory / "hot";
  {
    HotState hot = open(path, 1);
    save(hot, 1);
    save(hot, 2);
  }
  EXPECT_EQ(newest_step(path), 2);
  HotState next = open(path, 2);
  EXPECT_EQ(newest_step(path), 2);
  save(next, 3);
  EXPECT_TRUE(reads_exactly(path, 3));
  EXPECT_TRUE(reads_exactly(path, 2));
}

TEST(HotState, KeepsTheNewestRecordsOfTheRun) {
  const FreshDirectory directory;
  const std::string path = directory / "hot";
  HotState hot = open(path, 1);
  SomeTensors tensors(1, 5);
  TrainerState state = state_of(200);
  for (std::int64_t step = 1; step <= 200; ++step)
    remember(state.recent, {step, false, 0.5 * double(step), 1, 2, 3, 4});
  remember(state.recent, {200, true, 0.25, 0, 0, 9, 1});
  remember(state.recent, {200, true, 0.25, 0, 0, 9, 1});  // evaluated once more after a resume
  hot.save(tensors.views(), state);
  const Result<std::optional<TrainerState>> found = inspect_hot_state(path);
  ASSERT_TRUE(found && *found);
  const std::vector<MetricsRecord>& recent = (*found)->recent;
  ASSERT_EQ(recent.size(), recent_records_at_most);
  EXPECT_TRUE(recent.back().evaluation);
  EXPECT_EQ(recent[recent.size() - 2].step, 200);
  EXPECT_EQ(recent[recent.size() - 2].loss, 100);
  EXPECT_EQ(recent.front().step, 200 - static_cast<std::int64_t>(recent_records_at_most) + 2);
}

TEST(HotState, AnOlderAttemptWritesNothing) {
  const FreshDirectory directory;
  const std::string path = directory / "hot";
  HotState old = open(path, 1);
  save(old, 1);
  HotState owner = open(path, 2);
  const std::string before = get(path);
  save(old, 9);
  HotState late = open(path, 1);
  save(late, 9);
  EXPECT_EQ(get(path), before);
  save(owner, 2);
  EXPECT_EQ(newest_step(path), 2);
}

TEST(HotState, TheLatestSaveCountsEvenWhenTheRunWentBack) {
  const FreshDirectory directory;
  const std::string path = directory / "hot";
  {
    HotState hot = open(path, 1);
    save(hot, 11);
    save(hot, 12);
  }
  HotState next = open(path, 2);
  save(next, 9);
  EXPECT_EQ(newest_step(path), 9);
}

TEST(HotState, OtherTensorsStartANewFile) {
  const FreshDirectory directory;
  const std::string path = directory / "hot";
  {
    HotState hot = open(path, 1, 500);
    save(hot, 1, 500);
  }
  EXPECT_FALSE(reads_exactly(path, 1, 5));
  HotState smaller = open(path, 2, 5);
  EXPECT_EQ(newest_step(path), -1);
  save(smaller, 2, 5);
  EXPECT_TRUE(reads_exactly(path, 2, 5));
}

TEST(HotState, AFlippedBitOfTheNewestSlotFallsBackToTheOtherOne) {
  const FreshDirectory directory;
  const std::string path = directory / "hot";
  {
    HotState hot = open(path, 1);
    save(hot, 1);
    save(hot, 2);
  }
  const std::string good = get(path);
  const std::size_t slot = (good.size() - 4096) / 2;
  for (std::size_t at : {std::size_t{0}, std::size_t{8}, std::size_t{16}, std::size_t{24}, std::size_t{32},
                         std::size_t{4096}, std::size_t{4120}, std::size_t{8192}, std::size_t{8300}}) {
    std::string bad = good;
    bad[4096 + slot + at] = static_cast<char>(bad[4096 + slot + at] ^ 4);
    put(path, bad);
    EXPECT_EQ(newest_step(path), 1) << at;
    EXPECT_TRUE(reads_exactly(path, 1)) << at;
    EXPECT_FALSE(reads_exactly(path, 2)) << at;
  }
}

TEST(HotState, GarbageIsRefusedAndNeverCrashesAReader) {
  const FreshDirectory directory;
  const std::string path = directory / "hot";
  {
    HotState hot = open(path, 1);
    save(hot, 1);
    save(hot, 2);
  }
  const std::string good = get(path);
  std::mt19937 random(7);
  for (int round = 0; round < 300; ++round) {
    std::string bad = good.substr(0, round % 3 == 0 ? random() % good.size() : good.size());
    for (int i = 0; i < 4 && !bad.empty(); ++i)
      bad[random() % std::min<std::size_t>(bad.size(), round % 2 ? 64 : bad.size())] = static_cast<char>(random());
    put(path, bad);
    const Result<std::optional<TrainerState>> found = inspect_hot_state(path);
    if (!found || !*found) continue;
    EXPECT_TRUE((*found)->step == 1 || (*found)->step == 2);
    EXPECT_EQ((*found)->run_identity, "identity");
  }
  put(path, std::string(100000, 'x'));
  HotState again = open(path, 2);
  save(again, 3);
  EXPECT_TRUE(reads_exactly(path, 3));
}

TEST(HotState, APlaceThatIsTooSmallSaysSoBeforeTheFirstSave) {
  const FreshDirectory directory;
  const std::string path = directory / "hot";
  std::vector<float> one(1);
  // A view may be larger than memory as long as nobody looks into it: open() only asks for sizes.
  const std::vector<TrainableView> huge = {{"w", {1}, {one.data(), std::size_t{1} << 50}, {}, {}}};
  const Result<HotState> hot = HotState::open(path, 1, huge);
  ASSERT_FALSE(hot);
  EXPECT_EQ(hot.error().kind, FaultKind::node_state_too_small);
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST(HotState, SurvivesSigkillAtAnyMoment) {
  const FreshDirectory directory;
  const std::string path = directory / "hot";
  constexpr std::size_t width = 20000;  // a save takes long enough to be hit in the middle
  std::mt19937 random(11);
  std::int64_t known = 0;
  {
    HotState hot = open(path, 0, width);
    save(hot, 1, width);
    known = 1;
  }
  for (int round = 1; round <= 200; ++round) {
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      HotState hot = open(path, round, width);
      for (std::int64_t step = known + 1;; ++step) save(hot, step, width);
    }
    // On a slow machine a child may not come to its first save in this time, so some are waited for.
    for (int waited = 0; round % 20 == 0 && newest_step(path) == known && waited < 20'000; ++waited) ::usleep(1000);
    ::usleep(random() % 4000);
    const std::int64_t meanwhile = newest_step(path);  // the writer is alive
    EXPECT_GE(meanwhile, known);
    ::kill(child, SIGKILL);
    ASSERT_EQ(::waitpid(child, nullptr, 0), child);
    const std::int64_t found = newest_step(path);
    ASSERT_GE(found, meanwhile) << "round " << round;
    ASSERT_TRUE(reads_exactly(path, found, width)) << "round " << round;
    known = found;
  }
  EXPECT_GT(known, 1);
}

}  // namespace
}  // namespace ftl
