// The same command, or nearly the same, in a directory that holds a run (contract.md, "Running again").
#include <csignal>
#include <fstream>
#include <thread>

#include "tests/multiprocess/launched_run.h"
#include "tests/multiprocess/tiny_inputs.h"

namespace ftl {
namespace {

namespace fs = std::filesystem;

class AFinishedRun : public ::testing::Test {
 protected:
  void SetUp() override {
    const CommandResult result = site_.run({});
    ASSERT_EQ(result.exit_code, 0) << ::testing::PrintToString(result);
    bytes_ = site_.adapter();
    ASSERT_TRUE(bytes_.complete());
    written_ = fs::last_write_time(weights());
  }
  fs::path weights() const { return site_.output() / "adapter" / "adapter_model.safetensors"; }
  void expect_untouched() const {
    EXPECT_EQ(site_.adapter(), bytes_);
    EXPECT_EQ(fs::last_write_time(weights()), written_);
    EXPECT_FALSE(fs::exists(site_.output() / "logs" / "attempt-2")) << "ranks were started";
  }

  RunSite site_;
  AdapterFiles bytes_;
  fs::file_time_type written_;
};

TEST_F(AFinishedRun, SaysSoAndEndsWithZero) {
  const CommandResult again = site_.run({});
  EXPECT_EQ(again.exit_code, 0) << ::testing::PrintToString(again);
  EXPECT_NE(again.all().find("finished"), std::string::npos) << ::testing::PrintToString(again);
  expect_untouched();
  EXPECT_EQ(site_.status().value("state", ""), "finished");
}

TEST_F(AFinishedRun, RefusesAnotherLearningRateAndNamesBothValues) {
  const CommandResult again = site_.run({"--set", "learning_rate=0.001"});
  EXPECT_EQ(again.exit_code, 3) << ::testing::PrintToString(again);
  for (const char* word : {"run_identity_changed", "learning_rate", "0.002", "0.001", "--resume never"}) {
    EXPECT_NE(again.err.find(word), std::string::npos) << "no " << word << " in\n" << again.err;
  }
  expect_untouched();
}

TEST_F(AFinishedRun, RefusesOtherContentsOfTheSameDataFile) {
  const fs::path data = site_.directory() / "data.jsonl";
  write_tiny_data(data);
  site_.configure("datasets", "[{path: " + data.string() + ", type: completion}]");
  site_.configure("output_dir", "other");
  ASSERT_EQ(site_.run({}).exit_code, 0);
  std::ofstream(data, std::ios::app) << "{\"text\": \"One more line, and all is different.\"}\n";
  const CommandResult again = site_.run({});
  EXPECT_EQ(again.exit_code, 3) << ::testing::PrintToString(again);
  EXPECT_NE(again.err.find("run_identity_changed"), std::string::npos) << again.err;
}

TEST_F(AFinishedRun, IsMadeAnewWhenToldNeverToResume) {
  const CommandResult again = site_.run({"--resume", "never"});
  EXPECT_NE(fs::last_write_time(weights()), written_);
  expect_undisturbed_result(site_, again);
}

TEST_F(AFinishedRun, MayChangeAFreeKey) {
  const CommandResult again = site_.run({"--set", "logging_steps=3"});
  EXPECT_EQ(again.exit_code, 0) << ::testing::PrintToString(again);
  expect_untouched();
}

TEST(ARunningRun, OwnsItsDirectoryAndASecondLauncherNamesTheOwner) {
  RunSite site;
  site.configure("max_steps", "100000");
  Command first = site.start({});
  ASSERT_TRUE(site.wait_for_step(1)) << ::testing::PrintToString(first.wait(Milliseconds(0)));
  const CommandResult second = site.run({});
  EXPECT_EQ(second.exit_code, 2) << ::testing::PrintToString(second);
  EXPECT_NE(second.err.find("run_directory_owned"), std::string::npos) << second.err;
  EXPECT_NE(second.err.find(std::to_string(first.pid())), std::string::npos) << second.err;
  const std::int64_t reached = site.last_step();
  EXPECT_TRUE(site.wait_for_step(reached + 2)) << "the first run was disturbed by the second";
  first.press_ctrl_c();
  EXPECT_EQ(first.wait().exit_code, 5);
}

TEST(ARunningRun, IsShownByStatusAsProcSeesIt) {
  FTL_REQUIRE_MPIRUN();
  RunSite site;
  site.configure("max_steps", "100000");
  Command command = site.start({"--nodes", "2"});
  ASSERT_TRUE(site.wait_for_step(2)) << ::testing::PrintToString(command.wait(Milliseconds(0)));
  // The file follows the run a few times a second.
  Json status = site.status();
  for (int looks = 0; looks < 100 && (status.value("state", "") != "running" || status.value("step", 0) < 1); ++looks) {
    std::this_thread::sleep_for(Milliseconds(50));
    status = site.status();
  }
  EXPECT_EQ(status.value("schema", ""), "ftlaunch.status/1");
  EXPECT_EQ(status.value("state", ""), "running");
  EXPECT_EQ(status.value("attempt", 0), 1);
  EXPECT_EQ(status.value("steps", 0), 100000);
  EXPECT_GE(status.value("step", 0), 1);
  EXPECT_EQ(status.value("launcher_pid", 0), command.pid());
  ASSERT_EQ(status.value("ranks", Json::array()).size(), 2U);
  for (const Json& rank : status["ranks"]) {
    const int number = rank.value("rank", -1);
    EXPECT_EQ(rank.value("pid", 0), site.process_of("fttrain", number).value_or(-1)) << rank.dump();
    EXPECT_EQ(rank.value("keeper_pid", 0), site.process_of("ftkeeper", number).value_or(-1)) << rank.dump();
    EXPECT_EQ(rank.value("node", ""), "local-" + std::to_string(number));
    EXPECT_TRUE(rank.value("healthy", false)) << rank.dump();
    for (const char* key : {"step", "phase", "collective"}) EXPECT_TRUE(rank.contains(key)) << key;
  }
  EXPECT_TRUE(status.contains("verdicts"));
  command.press_ctrl_c();
  EXPECT_EQ(command.wait().exit_code, 5);
}

}  // namespace
}  // namespace ftl
