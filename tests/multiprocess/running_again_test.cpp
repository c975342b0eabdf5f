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

TEST_F(AFinishedRun, RefusesOtherWeightsOfTheSameNamesAndShapes) {
  const fs::path model = site_.directory() / "model";
  write_tiny_model(model);
  site_.configure("model_name_or_path", model.string());
  site_.configure("output_dir", "other");
  ASSERT_EQ(site_.run({}).exit_code, 0);
  std::string weights = read_text(model / "model.safetensors");
  weights.back() = static_cast<char>(weights.back() ^ 1);
  write_text(model / "model.safetensors", weights);
  const CommandResult again = site_.run({});
  EXPECT_EQ(again.exit_code, 3) << ::testing::PrintToString(again);
  EXPECT_NE(again.err.find("run_identity_changed"), std::string::npos) << again.err;
}

TEST_F(AFinishedRun, IsMadeAnewWhenToldNeverToResume) {
  const CommandResult again = site_.run({"--resume", "never"});
  EXPECT_NE(fs::last_write_time(weights()), written_);
  expect_undisturbed_result(site_, again);
}

// output_dir may be a directory of the user's.
TEST_F(AFinishedRun, IsMadeAnewBesideFilesThatAreNotItsOwn) {
  write_text(site_.output() / "notes.txt", "mine");
  fs::create_directories(site_.output() / ".git");
  const CommandResult again = site_.run({"--resume", "never"});
  EXPECT_TRUE(fs::exists(site_.output() / "notes.txt"));
  EXPECT_TRUE(fs::exists(site_.output() / ".git"));
  EXPECT_TRUE(fs::exists(site_.output() / "previous" / "1" / "adapter" / "adapter_model.safetensors"));
  expect_undisturbed_result(site_, again);
}

TEST_F(AFinishedRun, IsNotMadeAnewFromWhatWouldBeSetAside) {
  write_tiny_model(site_.output() / "model");
  site_.configure("model_name_or_path", (site_.output() / "model").string());
  const CommandResult again = site_.run({"--resume", "never"});
  EXPECT_EQ(again.exit_code, 2) << ::testing::PrintToString(again);
  EXPECT_NE(again.err.find("out/model"), std::string::npos) << again.err;
  EXPECT_FALSE(fs::exists(site_.output() / "previous")) << "something was moved";
  expect_untouched();
}

TEST_F(AFinishedRun, GoesBackToTheStepThatIsNamedAndSetsNewerOnesAside) {
  const CommandResult again = site_.run({"--resume", "5"});
  EXPECT_NE(again.out.find("resuming from step 5"), std::string::npos) << again.out;
  bool aside = false;
  for (const auto& entry : fs::directory_iterator(site_.output() / "previous"))
    aside = aside || fs::exists(entry.path() / "step-10" / "manifest.json");
  EXPECT_TRUE(aside);
  expect_undisturbed_result(site_, again);
}

TEST_F(AFinishedRun, MayChangeAFreeKey) {
  const CommandResult again = site_.run({"--set", "logging_steps=3"});
  EXPECT_EQ(again.exit_code, 0) << ::testing::PrintToString(again);
  expect_untouched();
}

TEST_F(AFinishedRun, WithoutItsRecordIsStillNoOtherRun) {
  fs::remove(site_.output() / "run.json");
  const CommandResult another = site_.run({"--set", "learning_rate=0.001"});
  EXPECT_EQ(another.exit_code, 3) << ::testing::PrintToString(another);
  EXPECT_NE(another.err.find("run_identity_changed"), std::string::npos) << another.err;
  expect_undisturbed_result(site_, site_.run({}));
}

TEST_F(AFinishedRun, WritesItsAdapterAgainWhenItIsGoneOrDamaged) {
  for (const char* text : {"", "garbage"}) {
    if (*text == '\0')
      fs::remove_all(site_.output() / "adapter");
    else
      write_text(weights(), text);
    const CommandResult again = site_.run({});
    EXPECT_NE(again.out.find("it is written again"), std::string::npos) << again.out;
    expect_undisturbed_result(site_, again);
  }
}

TEST_F(AFinishedRun, RefusesToGoBackToWhatIsNoWholeCheckpoint) {
  write_text(site_.output() / "checkpoints" / "step-5" / "optimizer.safetensors", "garbage");
  for (const std::string& wanted : {std::string("5"), site_.output().string(), std::string("/dev/null")}) {
    const CommandResult refused = site_.run({"--resume", wanted});
    EXPECT_EQ(refused.exit_code, 3) << ::testing::PrintToString(refused);
    EXPECT_NE(refused.err.find("no whole checkpoint"), std::string::npos) << refused.err;
  }
  expect_untouched();
}

// Ended by kill -9 after a durable checkpoint.
class AnInterruptedRun : public ::testing::Test {
 protected:
  void SetUp() override {
    undisturbed_adapter();
    Command command = site_.start({});
    ASSERT_TRUE(site_.wait_for_step(6)) << ::testing::PrintToString(command.wait(Milliseconds(0)));
    command.send(SIGKILL);
    command.wait();
    ASSERT_TRUE(site_.left().empty());
  }
  RunSite site_;
};

TEST_F(AnInterruptedRun, GoesOnWithoutItsStatusFile) {
  fs::remove(site_.output() / "status.json");
  const CommandResult again = site_.run({});
  EXPECT_NE(again.out.find("status.json"), std::string::npos) << again.out;
  EXPECT_NE(again.out.find("resuming from step"), std::string::npos) << again.out;
  expect_undisturbed_result(site_, again);
}

TEST_F(AnInterruptedRun, GoesOnFromItsCheckpointWhenOnlyThatIsLeft) {
  for (const auto& entry : fs::directory_iterator(site_.output())) {
    if (entry.path().filename() != "checkpoints") fs::remove_all(entry.path());
  }
  const CommandResult again = site_.run({});
  EXPECT_NE(again.out.find("resuming from step 5"), std::string::npos) << again.out;
  expect_undisturbed_result(site_, again);
}

TEST_F(AnInterruptedRun, WhoseRecordIsGoneIsNotWrittenOverByAnother) {
  fs::remove(site_.output() / "run.json");
  const CommandResult another = site_.run({"--set", "learning_rate=0.001"});
  EXPECT_EQ(another.exit_code, 3) << ::testing::PrintToString(another);
  EXPECT_NE(another.err.find("run_identity_changed"), std::string::npos) << another.err;
  expect_undisturbed_result(site_, site_.run({}));
}

TEST_F(AnInterruptedRun, IsNotResumedByAnotherBinaryUnlessForced) {
  site_.use_a_copy_of_the_binaries();
  std::ofstream(site_.directory() / "copy" / "bin" / "fttrain", std::ios::app) << "another build";
  const CommandResult refused = site_.run({});
  EXPECT_EQ(refused.exit_code, 3) << ::testing::PrintToString(refused);
  EXPECT_NE(refused.err.find("platform_changed"), std::string::npos) << refused.err;
  EXPECT_FALSE(fs::exists(site_.output() / "logs" / "attempt-2")) << "ranks were started";
  expect_undisturbed_result(site_, site_.run({"--resume", "force"}));
}

TEST_F(AnInterruptedRun, LosesNothingWhenGoingBackIsRefused) {
  const auto hot_state = [&] {
    std::vector<std::string> files = site_.left_in_state_directory();
    std::erase_if(files, [](const std::string& file) { return file.find("/hot/") == std::string::npos; });
    return files;
  };
  const std::vector<std::string> kept = hot_state();
  ASSERT_FALSE(kept.empty());
  site_.use_a_copy_of_the_binaries();
  std::ofstream(site_.directory() / "copy" / "bin" / "fttrain", std::ios::app) << "another build";
  const CommandResult refused = site_.run({"--resume", "5"});
  EXPECT_EQ(refused.exit_code, 3) << ::testing::PrintToString(refused);
  EXPECT_NE(refused.err.find("platform_changed"), std::string::npos) << refused.err;
  EXPECT_EQ(hot_state(), kept);
  EXPECT_FALSE(fs::exists(site_.output() / "previous"));
}

TEST_F(AnInterruptedRun, TakesAwayWhatItsKilledAttemptsHadHalfWritten) {
  for (const char* name : {"adapter.attempt-1.tmp", "adapter.attempt-1.old", "adapter.attempt-1.mine"})
    fs::create_directories(site_.output() / name);
  expect_undisturbed_result(site_, site_.run({}));
  EXPECT_FALSE(fs::exists(site_.output() / "adapter.attempt-1.tmp"));
  EXPECT_FALSE(fs::exists(site_.output() / "adapter.attempt-1.old"));
  EXPECT_TRUE(fs::exists(site_.output() / "adapter.attempt-1.mine")) << "it is none of ours";
}

TEST_F(AnInterruptedRun, IsResumedByACopyOfTheSameBinary) {
  site_.use_a_copy_of_the_binaries();
  expect_undisturbed_result(site_, site_.run({}));
}

TEST_F(AnInterruptedRun, BeginsAnewInADirectoryThatWasEmptied) {
  for (const auto& entry : fs::directory_iterator(site_.output())) {
    if (!entry.path().filename().string().starts_with(".")) fs::remove_all(entry.path());
  }
  const CommandResult again = site_.run({});
  EXPECT_EQ(again.out.find("resuming"), std::string::npos) << again.out;
  expect_undisturbed_result(site_, again);
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
