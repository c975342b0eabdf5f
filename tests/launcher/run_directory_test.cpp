#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <limits>

#include "launcher/run_directory.h"
#include "launcher/run_directory_state.h"

namespace ftl {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class RunDirectoryTest : public ::testing::Test {
 protected:
  RunDirectoryTest() {
    std::string pattern = ::testing::TempDir() + "ftl-run-XXXXXX";
    root = ::mkdtemp(pattern.data());
    path = root + "/out";
  }
  ~RunDirectoryTest() override { fs::remove_all(root); }

  std::string text_of(const std::string& name) const {
    std::ifstream file(path + "/" + name);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  void write(const std::string& name, const std::string& text) const { std::ofstream(path + "/" + name) << text; }

  // In a process of its own, which then dies without cleaning up.
  template <class Act>
  pid_t dead_process(Act act) const {
    const pid_t child = ::fork();
    if (child == 0) {
      act();
      ::kill(::getpid(), SIGKILL);
    }
    ::waitpid(child, nullptr, 0);
    return child;
  }

  std::string root;
  std::string path;
};

RunStatus running_at(std::int64_t step) {
  RunStatus status;
  status.state = RunState::running;
  status.step = step;
  status.steps = 100;
  status.ranks = {{Rank{0}, "local-0", 11, 10, step, Phase::backward, 118, true}};
  return status;
}

TEST_F(RunDirectoryTest, HasOneOwnerAndNamesIt) {
  auto first = RunDirectory::open(path);
  ASSERT_TRUE(first) << first.error().what;
  const auto second = RunDirectory::open(path);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().kind, FaultKind::run_directory_owned);
  EXPECT_THAT(second.error().what, HasSubstr("process " + std::to_string(::getpid()) + " on "));
  EXPECT_EQ(read_owner(path)->pid, ::getpid());
  { const RunDirectory gone = std::move(*first); }
  EXPECT_TRUE(RunDirectory::open(path));
}

TEST_F(RunDirectoryTest, TheLockOfADeadLauncherIsTakenOver) {
  dead_process([&] {
    auto directory = RunDirectory::open(path);
    if (directory) (void)directory->write_status(running_at(5));
  });
  EXPECT_FALSE(read_owner(path).has_value());
  EXPECT_TRUE(RunDirectory::open(path));
}

TEST_F(RunDirectoryTest, AStatusWhoseLauncherIsDeadIsFailedAndNeverRunning) {
  const pid_t launcher = dead_process([&] {
    auto directory = RunDirectory::open(path);
    if (directory) (void)directory->write_status(running_at(5));
  });
  const auto stored = read_status(path);
  ASSERT_TRUE(stored);
  EXPECT_EQ(stored->status.state, RunState::failed);
  EXPECT_EQ(stored->launcher_pid, launcher);
  EXPECT_FALSE(stored->launcher_alive);
  EXPECT_EQ(stored->status.step, 5);
  EXPECT_FALSE(stored->status.ranks.at(0).healthy);
}

TEST_F(RunDirectoryTest, AStatusComesBackAsItWasWhileTheLauncherLives) {
  auto directory = RunDirectory::open(path);
  ASSERT_TRUE(directory->write_status(running_at(7)));
  const auto stored = read_status(path);
  ASSERT_TRUE(stored);
  EXPECT_EQ(stored->status.state, RunState::running);
  EXPECT_TRUE(stored->launcher_alive);
  ASSERT_THAT(stored->status.ranks, SizeIs(1));
  EXPECT_EQ(stored->status.ranks[0].phase, Phase::backward);
  EXPECT_EQ(stored->status.ranks[0].keeper_pid, 10);
  EXPECT_THAT(text_of("status.json"), HasSubstr("ftlaunch.status/1"));
}

TEST_F(RunDirectoryTest, AResumeDropsStepsBeyondTheRestoredOne) {
  auto directory = RunDirectory::open(path);
  for (std::int64_t step = 1; step <= 5; ++step) {
    ReportStep report;
    report.step = step;
    report.loss = 2.5;
    report.tokens = 10;
    report.seconds = 0.5;
    ASSERT_TRUE(directory->append_step(report));
  }
  ASSERT_TRUE(directory->append_evaluation({5, 1.25, 100, 0.1}));
  ASSERT_TRUE(directory->drop_steps_beyond(3));
  const std::string metrics = text_of("metrics.jsonl");
  EXPECT_EQ(std::count(metrics.begin(), metrics.end(), '\n'), 3);
  EXPECT_THAT(metrics, HasSubstr("\"step\":3"));
  EXPECT_THAT(metrics, ::testing::Not(HasSubstr("eval_loss")));
  EXPECT_THAT(metrics, HasSubstr("\"tokens_per_second\":20.0"));
}

TEST_F(RunDirectoryTest, EvaluationLinesNeverCarryALoss) {
  auto directory = RunDirectory::open(path);
  ASSERT_TRUE(directory->append_evaluation({5, 1.25, 100, 0.1}));
  EXPECT_THAT(text_of("metrics.jsonl"), HasSubstr("\"eval_loss\":1.25"));
  EXPECT_THAT(text_of("metrics.jsonl"), ::testing::Not(HasSubstr("\"loss\"")));
}

TEST_F(RunDirectoryTest, ALossThatIsNotFiniteIsStillALineOfJson) {
  auto directory = RunDirectory::open(path);
  ReportStep report;
  report.step = 1;
  report.loss = std::numeric_limits<double>::quiet_NaN();
  ASSERT_TRUE(directory->append_step(report));
  EXPECT_THAT(text_of("metrics.jsonl"), HasSubstr("\"loss\":null"));
}

TEST_F(RunDirectoryTest, ATornLastLineIsCutOffWhenTheDirectoryIsOpened) {
  fs::create_directories(path);
  write("metrics.jsonl", "{\"step\":1}\n{\"step\":2}\n{\"st");
  write("events.jsonl", "{\"half");
  auto directory = RunDirectory::open(path);
  ASSERT_TRUE(directory);
  EXPECT_EQ(text_of("metrics.jsonl"), "{\"step\":1}\n{\"step\":2}\n");
  EXPECT_EQ(text_of("events.jsonl"), "");
}

TEST_F(RunDirectoryTest, AttemptsAreNumberedThroughTheLifeOfTheDirectory) {
  {
    auto directory = RunDirectory::open(path);
    EXPECT_EQ(directory->next_attempt(), Attempt{1});
    ASSERT_TRUE(directory->append_log(Attempt{1}, Rank{0}, {"hello"}, 0));
    ASSERT_TRUE(directory->append_engine_log(Attempt{12}, "hello"));
  }
  fs::create_directories(path + "/logs/attempt-x");
  EXPECT_EQ(RunDirectory::open(path)->next_attempt(), Attempt{13});
}

TEST_F(RunDirectoryTest, LogsSayWhatWasDropped) {
  auto directory = RunDirectory::open(path);
  ASSERT_TRUE(directory->append_log(Attempt{2}, Rank{1}, {"one", "two"}, 7));
  EXPECT_EQ(text_of("logs/attempt-2/rank-1.log"),
            "one\ntwo\nftlaunch: 7 lines were dropped here, they came too fast\n");
}

TEST_F(RunDirectoryTest, FiredFaultsAreRemembered) {
  auto directory = RunDirectory::open(path);
  ASSERT_TRUE(directory->append_event("fault_fired", "fault=sigkill,rank=1,step=5", 1, Attempt{1}));
  ASSERT_TRUE(directory->append_event("checkpoint", "step 5", 0, Attempt{1}));
  write("garbage", "");
  std::ofstream(path + "/events.jsonl", std::ios::app) << "not json\n[1]\n{\"event\":\"fault_fired\",\"detail\":7}\n";
  EXPECT_THAT(fired_faults(path), ElementsAre("fault=sigkill,rank=1,step=5"));
}

TEST_F(RunDirectoryTest, TheRunIdStaysButNotInACopy) {
  std::string id;
  { id = RunDirectory::open(path)->run_id(); }
  EXPECT_THAT(id, SizeIs(16));
  { EXPECT_EQ(RunDirectory::open(path)->run_id(), id); }
  fs::copy(path, root + "/copy", fs::copy_options::recursive);
  EXPECT_NE(RunDirectory::open(root + "/copy")->run_id(), id);
  write(".run_id", R"({"id":"../../etc/passwd","path":")" + fs::canonical(path).string() + "\"}");
  EXPECT_THAT(RunDirectory::open(path)->run_id(), SizeIs(16));
}

TEST_F(RunDirectoryTest, ReadersSurviveGarbage) {
  fs::create_directories(path + "/verdicts");
  for (const char* text : {"", "{", "null", "[]", "{\"state\":7}", "{\"state\":\"dancing\"}", "\xff\xfe",
                           "{\"state\":\"running\",\"ranks\":[1,{\"rank\":\"x\"}]}"}) {
    write("status.json", text);
    write(".lock", text);
    write("events.jsonl", text);
    (void)read_status(path);
    EXPECT_FALSE(read_owner(path).has_value());
    EXPECT_THAT(fired_faults(path), IsEmpty());
  }
  write("verdicts/2.json", "");
  write("verdicts/10.json", "");
  write("verdicts/x.json", "");
  EXPECT_THAT(verdict_files(path), ElementsAre("verdicts/2.json", "verdicts/10.json"));
  EXPECT_FALSE(read_status(root + "/nowhere").has_value());
}

TEST_F(RunDirectoryTest, StateOfDeadRunsIsReclaimedAndThatOfLivingOnesIsNot) {
  const std::string base = root + "/shm";
  fs::create_directories(base);
  const auto living = claim_state_directory({base, "living", root + "/gone", 0});
  ASSERT_TRUE(living) << living.error().what;
  EXPECT_EQ(fs::status(*living).permissions(), fs::perms::owner_all);
  ASSERT_TRUE(prepare_attempt(*living, Attempt{1}));
  ASSERT_TRUE(prepare_attempt(*living, Attempt{2}));
  EXPECT_FALSE(fs::exists(*living + "/attempt-1"));
  EXPECT_TRUE(fs::exists(*living + "/attempt-2"));
  dead_process([&] {
    const auto dead = claim_state_directory({base, "dead", root + "/gone", 0});
    if (dead) (void)prepare_attempt(*dead, Attempt{1});
  });
  dead_process([&] {  // its launcher was killed in the middle: it may be resumed from its hot state
    auto directory = RunDirectory::open(path);
    if (directory) (void)directory->write_status(running_at(5));
    const auto dead = claim_state_directory({base, "resumable", path, 0});
    if (dead) (void)prepare_attempt(*dead, Attempt{1});
  });
  const std::string home = fs::path(*living).parent_path().string();
  (void)reclaim_state(base, false);
  EXPECT_TRUE(fs::exists(*living + "/attempt-2"));
  EXPECT_FALSE(fs::exists(home + "/dead"));
  EXPECT_TRUE(fs::exists(home + "/resumable/hot"));
  EXPECT_FALSE(fs::exists(home + "/resumable/attempt-1"));
  EXPECT_THAT(reclaim_state(base, true), ElementsAre(home + "/resumable"));
}

TEST_F(RunDirectoryTest, StateThatDoesNotFitIsRefusedWithBothNumbers) {
  const auto claimed = claim_state_directory({root, "run", path, std::int64_t{1} << 60});
  ASSERT_FALSE(claimed);
  EXPECT_EQ(claimed.error().kind, FaultKind::node_state_too_small);
  EXPECT_THAT(claimed.error().what, HasSubstr("needs 1152921504606846976 bytes"));
}

TEST_F(RunDirectoryTest, StateBehindALinkIsRefused) {
  fs::create_directories(root + "/elsewhere");
  fs::create_directories(root + "/shm");
  fs::create_directory_symlink(root + "/elsewhere", root + "/shm/ftl-" + std::to_string(::getuid()));
  EXPECT_FALSE(claim_state_directory({root + "/shm", "run", path, 0}));
}

}  // namespace
}  // namespace ftl
