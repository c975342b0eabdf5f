// Whole runs of the launcher around ranks without arithmetic: the real supervisor, keepers, engines and run directory.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <thread>

#include "launcher/engines/process_table.h"
#include "launcher/run_directory_state.h"
#include "launcher/shell.h"

namespace ftl {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class Run : public ::testing::Test {
 protected:
  Run() {
    std::string pattern = (std::filesystem::temp_directory_path() / "ftl-shell-XXXXXX").string();
    root = ::mkdtemp(pattern.data());
  }
  ~Run() override { fs::remove_all(root); }

  // Runs a launcher in a process of its own and returns its pid. `arguments`: of the ranks.
  pid_t launch(int world, std::vector<std::string> arguments) {
    std::fflush(nullptr);
    const pid_t launcher = ::fork();
    if (launcher == 0) ::_exit(run(world, std::move(arguments)));
    return launcher;
  }

  int run(int world, std::vector<std::string> arguments) {
    auto directory = RunDirectory::open(root + "/out");
    if (!directory) return 101;
    fs::create_directories(root + "/shm");
    const auto state = claim_state_directory({root + "/shm", directory->run_id(), directory->path()});
    if (!state) return 102;
    ShellOptions options;
    options.supervisor.world = WorldSize{world};
    options.supervisor.first_attempt = directory->next_attempt();
    options.spec.run_id = directory->run_id();
    options.spec.world = WorldSize{world};
    options.spec.run_directory = directory->path();
    options.spec.state_directory = *state;
    options.engine = world == 1 ? EngineKind::local : EngineKind::mpirun;
    options.keeper = FTL_BINARY_DIR "/bin/ftkeeper";
    options.rank_program = {FTL_BINARY_DIR "/tests/dummy_rank"};
    options.rank_program.insert(options.rank_program.end(), arguments.begin(), arguments.end());
    ShellCallbacks callbacks;
    callbacks.choose_resume = [this](const StartAttempt& attempt) -> Result<std::string> {
      std::ofstream file(root + "/passed_over-" + std::to_string(attempt.attempt.value));
      for (const std::string& damaged : attempt.pass_over) file << damaged << '\n';
      return std::string("checkpoints/step-8");
    };
    Progress progress({}, stdout);
    const auto code = run_shell(options, callbacks, *directory, progress);
    return code ? *code : 103;
  }

  static int exit_code_of(pid_t launcher) {
    int status = 0;
    ::waitpid(launcher, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }

  // Waits until the status says what is wanted; false when the launcher does not get there in half a minute.
  bool wait_for(const std::function<bool(const StoredStatus&)>& wanted) const {
    for (int round = 0; round < 600; ++round) {
      const auto stored = read_status(root + "/out");
      if (stored && wanted(*stored)) return true;
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
    return false;
  }
  std::string text_of(const std::string& name) const { return read_small_file(root + "/out/" + name).value_or(""); }
  bool nothing_left(int attempt) const {
    const auto id_text = text_of(".run_id");
    const std::size_t at = id_text.find("\"id\":\"");
    const std::string id = at == std::string::npos ? "" : id_text.substr(at + 6, 16);
    for (int round = 0; round < 600; ++round) {
      if (processes_marked(attempt_marker(id, Attempt{attempt})).empty()) return true;
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
    return false;
  }

  std::string root;
};

TEST_F(Run, FinishesWithMetricsAndStatus) {
  EXPECT_EQ(exit_code_of(launch(1, {"--steps", "5", "--step-ms", "5"})), 0);
  const auto stored = read_status(root + "/out");
  ASSERT_TRUE(stored);
  EXPECT_EQ(stored->status.state, RunState::finished);
  EXPECT_EQ(stored->status.step, 5);
  EXPECT_THAT(text_of("metrics.jsonl"), HasSubstr("\"step\":5"));
  EXPECT_THAT(text_of("logs/attempt-1/rank-0.log"), HasSubstr("rank 0 says hello"));
  EXPECT_TRUE(fs::exists(root + "/out/flight/attempt-1/rank-0.ring"));
  EXPECT_TRUE(nothing_left(1));
}

TEST_F(Run, IsStoppedInOrderByTheFirstSignal) {
  const pid_t launcher = launch(1, {});
  ASSERT_TRUE(wait_for([](const StoredStatus& s) { return s.status.step > 0; }));
  ::kill(launcher, SIGTERM);
  EXPECT_EQ(exit_code_of(launcher), 5);
  EXPECT_EQ(read_status(root + "/out")->status.state, RunState::stopped);
  EXPECT_TRUE(nothing_left(1));
}

TEST_F(Run, EndsAtOnceByTheSecondSignal) {
  const pid_t launcher = launch(1, {"--ignore-sigterm"});
  ASSERT_TRUE(wait_for([](const StoredStatus& s) { return s.status.step > 0; }));
  ::kill(launcher, SIGINT);
  std::this_thread::sleep_for(std::chrono::milliseconds(200));  // two signals at once are one
  ::kill(launcher, SIGINT);
  EXPECT_EQ(exit_code_of(launcher), 130);
  EXPECT_TRUE(nothing_left(1));
}

TEST_F(Run, StartsAnotherAttemptWhenARankIsKilled) {
  const pid_t launcher = launch(1, {});
  ASSERT_TRUE(wait_for([](const StoredStatus& s) { return s.status.step > 0 && s.status.ranks.at(0).pid > 0; }));
  ::kill(read_status(root + "/out")->status.ranks[0].pid, SIGKILL);
  EXPECT_TRUE(wait_for(
      [](const StoredStatus& s) { return s.status.attempt == Attempt{2} && s.status.state == RunState::running; }));
  EXPECT_TRUE(nothing_left(1));
  ::kill(launcher, SIGTERM);
  EXPECT_EQ(exit_code_of(launcher), 5);
  EXPECT_THAT(text_of("verdicts/1.json"), HasSubstr("rank_killed"));
  EXPECT_THAT(text_of("events.jsonl"), HasSubstr("attempt_started"));
}

TEST_F(Run, TellsTheNextAttemptWhichStateTheRanksFoundDamaged) {
  EXPECT_EQ(exit_code_of(launch(1, {"--steps", "2", "--step-ms", "5", "--damaged-state"})), 0);
  EXPECT_EQ(read_small_file(root + "/passed_over-1").value_or("none"), "");
  EXPECT_EQ(read_small_file(root + "/passed_over-2").value_or("none"), "checkpoints/step-8/optimizer.safetensors\n");
}

TEST_F(Run, IsStoppedInOrderByAQuitToo) {
  const pid_t launcher = launch(1, {});
  ASSERT_TRUE(wait_for([](const StoredStatus& s) { return s.status.step > 0; }));
  ::kill(launcher, SIGQUIT);
  EXPECT_EQ(exit_code_of(launcher), 5);
  EXPECT_THAT(text_of("events.jsonl"), HasSubstr("SIGQUIT"));
}

TEST_F(Run, GoesOnAfterTheTerminalHangsUpWhenNohupAskedForThat) {
  ::signal(SIGHUP, SIG_IGN);
  const pid_t launcher = launch(1, {});
  ::signal(SIGHUP, SIG_DFL);
  ASSERT_TRUE(wait_for([](const StoredStatus& s) { return s.status.step > 0; }));
  ::kill(launcher, SIGHUP);
  const std::int64_t before = read_status(root + "/out")->status.step;
  EXPECT_TRUE(wait_for([&](const StoredStatus& s) { return s.status.step > before + 2; }));
  ::kill(launcher, SIGTERM);
  EXPECT_EQ(exit_code_of(launcher), 5);
  EXPECT_THAT(text_of("events.jsonl"), ::testing::Not(HasSubstr("SIGHUP")));
}

TEST_F(Run, KeepsNoZombieOfARankWhoseKeeperWasKilled) {
  if (std::system("command -v mpirun > /dev/null 2>&1") != 0) GTEST_SKIP() << "mpirun is not installed here";
  const pid_t launcher = launch(2, {});
  ASSERT_TRUE(wait_for([](const StoredStatus& s) {
    return s.status.step > 0 && s.status.ranks.size() == 2 && s.status.ranks[1].keeper_pid > 0;
  }));
  const RankStatus rank = read_status(root + "/out")->status.ranks[1];
  ::kill(rank.keeper_pid, SIGKILL);
  EXPECT_TRUE(wait_for([](const StoredStatus& s) { return s.status.attempt == Attempt{2} && s.status.step > 0; }));
  const auto left = process_stat(rank.pid);
  EXPECT_TRUE(!left || left->parent != launcher) << "pid " << rank.pid << " waits to be reaped";
  ::kill(launcher, SIGTERM);
  EXPECT_EQ(exit_code_of(launcher), 5);
}

TEST_F(Run, LeavesNothingWhenItsLauncherIsKilled) {
  const pid_t launcher = launch(1, {"--ignore-sigterm"});
  ASSERT_TRUE(wait_for([](const StoredStatus& s) { return s.status.step > 0; }));
  ::kill(launcher, SIGKILL);
  EXPECT_EQ(exit_code_of(launcher), 128 + SIGKILL);
  EXPECT_TRUE(nothing_left(1));
  EXPECT_EQ(read_status(root + "/out")->status.state, RunState::failed);
}

TEST_F(Run, RecoversUnderMpirunToo) {
  if (std::system("command -v mpirun > /dev/null 2>&1") != 0) GTEST_SKIP() << "mpirun is not installed here";
  const pid_t launcher = launch(3, {});
  ASSERT_TRUE(wait_for([](const StoredStatus& s) {
    return s.status.step > 0 && s.status.ranks.size() == 3 && s.status.ranks[1].pid > 0;
  }));
  ::kill(read_status(root + "/out")->status.ranks[1].pid, SIGKILL);
  EXPECT_TRUE(wait_for(
      [](const StoredStatus& s) { return s.status.attempt == Attempt{2} && s.status.state == RunState::running; }));
  ::kill(launcher, SIGTERM);
  EXPECT_EQ(exit_code_of(launcher), 5);
  EXPECT_TRUE(nothing_left(1));
  EXPECT_TRUE(nothing_left(2));
}

}  // namespace
}  // namespace ftl
