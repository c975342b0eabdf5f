// The run directory is the user's: what a run did not make it does not touch, and its name is taken as it is.
#include <sys/stat.h>

#include <cctype>

#include "tests/multiprocess/launched_run.h"
#include "tests/multiprocess/tiny_inputs.h"

namespace ftl {
namespace {

namespace fs = std::filesystem;

TEST(FilesOfOthers, UnderANameThatARunWritesAreRefusedAndUntouched) {
  RunSite site;
  fs::create_directories(site.output() / "adapter");
  write_text(site.output() / "adapter" / "notes.txt", "mine");
  for (const char* verb : {"run", "check"}) {
    const CommandResult refused =
        site.verb({verb, "--config", site.config().string(), "--output-dir", site.output().string()});
    EXPECT_EQ(refused.exit_code, 2) << ::testing::PrintToString(refused);
    EXPECT_NE(refused.err.find("out/adapter"), std::string::npos) << refused.err;
  }
  EXPECT_EQ(read_text(site.output() / "adapter" / "notes.txt"), "mine");
  EXPECT_FALSE(fs::exists(site.output() / "run.json"));
}

TEST(FilesOfOthers, AreSetAsideWhenToldNeverToResume) {
  RunSite site;
  fs::create_directories(site.output() / "adapter");
  write_text(site.output() / "adapter" / "notes.txt", "mine");
  const CommandResult result = site.run({"--resume", "never"});
  EXPECT_EQ(read_text(site.output() / "previous" / "1" / "adapter" / "notes.txt"), "mine");
  expect_undisturbed_result(site, result);
}

TEST(InputsInTheRunDirectory, AreNeverWrittenOver) {
  RunSite site;
  write_tiny_model(site.output() / "model");
  const std::string weights = read_text(site.output() / "model" / "model.safetensors");
  write_tiny_data(site.output() / "metrics.jsonl");
  const std::string data = read_text(site.output() / "metrics.jsonl");
  site.configure("model_name_or_path", (site.output() / "model").string());
  site.configure("adapter", "none");
  for (const char* resume : {"auto", "never"}) {
    const CommandResult of_model = site.run({"--resume", resume});
    EXPECT_EQ(of_model.exit_code, 2) << ::testing::PrintToString(of_model);
    EXPECT_NE(of_model.err.find("out/model"), std::string::npos) << of_model.err;
  }
  site.configure("datasets", "[{path: " + (site.output() / "metrics.jsonl").string() + ", type: completion}]");
  const CommandResult of_data = site.run({});
  EXPECT_EQ(of_data.exit_code, 2) << ::testing::PrintToString(of_data);
  EXPECT_NE(of_data.err.find("out/metrics.jsonl"), std::string::npos) << of_data.err;
  EXPECT_EQ(read_text(site.output() / "model" / "model.safetensors"), weights);
  EXPECT_EQ(read_text(site.output() / "metrics.jsonl"), data);
}

TEST(TheNameOfTheRunDirectory, IsTakenAsItIs) {
  RunSite site;
  for (const char* name : {"#b", "null", "a: b", "[x]", "'s'", "x\ny"}) {
    const CommandResult result = site.verb({"run", "--config", site.config().string(), "--output-dir",
                                            (site.directory() / name).string(), "--set", "max_steps=1"});
    EXPECT_EQ(result.exit_code, 0) << name << "\n" << ::testing::PrintToString(result);
    EXPECT_TRUE(fs::exists(site.directory() / name / "adapter")) << name;
  }
}

TEST(ARunDirectoryThatIsRemoved, EndsItsRunAndIsNotMadeAgain) {
  RunSite site;
  site.configure("max_steps", "100000");
  Command command = site.start({});
  ASSERT_TRUE(site.wait_for_step(2)) << ::testing::PrintToString(command.wait(Milliseconds(0)));
  fs::rename(site.output(), site.directory() / "moved");
  // As another run would: its files are never mixed with those of the first.
  fs::create_directories(site.output());
  const CommandResult result = command.wait();
  EXPECT_EQ(result.exit_code, 4) << ::testing::PrintToString(result);
  EXPECT_NE(result.all().find("removed, moved or replaced"), std::string::npos) << ::testing::PrintToString(result);
  EXPECT_TRUE(site.left().empty());
  for (const char* name : {"metrics.jsonl", "status.json", "logs", "verdicts"})
    EXPECT_FALSE(fs::exists(site.output() / name)) << name;
}

TEST(FilesThatAreNone, AreRefusedAndNeverWaitedFor) {
  RunSite site;
  fs::create_directories(site.output());
  write_text(site.directory() / "precious", "mine");
  fs::create_symlink(site.directory() / "precious", site.output() / ".lock");
  const CommandResult of_link = site.run({});
  EXPECT_EQ(of_link.exit_code, 2) << ::testing::PrintToString(of_link);
  EXPECT_EQ(read_text(site.directory() / "precious"), "mine");
  fs::remove(site.output() / ".lock");
  write_text(site.output() / ".lock", "somebody else's");
  EXPECT_EQ(site.run({}).exit_code, 2);
  EXPECT_EQ(read_text(site.output() / ".lock"), "somebody else's");
  fs::remove(site.output() / ".lock");
  ASSERT_EQ(::mkfifo((site.output() / "events.jsonl").c_str(), 0600), 0);
  const CommandResult of_pipe = site.run({});
  EXPECT_TRUE(of_pipe.in_time) << ::testing::PrintToString(of_pipe);
}

// What was checked before the launch is checked again by every rank of every attempt.
TEST(InputsThatChangeUnderARun, AreNotUsedByItsNextAttempt) {
  for (const bool of_model : {false, true}) {
    RunSite site;
    const fs::path data = site.directory() / "data.jsonl", model = site.directory() / "model";
    write_tiny_data(data);
    write_tiny_model(model);
    site.configure("datasets", "[{path: " + data.string() + ", type: completion}]");
    site.configure("model_name_or_path", model.string());
    Command command =
        site.start({"--inject", "fault=slow=100,rank=0,step=2", "--inject", "fault=sigkill,rank=0,step=10"});
    ASSERT_TRUE(site.wait_for_step(2)) << ::testing::PrintToString(command.wait(Milliseconds(0)));
    // By rename, as an editor or a download does: what is mapped stays as it was.
    const fs::path changed = of_model ? model / "model.safetensors" : data;
    std::string bytes = read_text(changed);
    std::size_t at = bytes.size() / 2;
    while (std::isalpha(static_cast<unsigned char>(bytes[at])) == 0) ++at;
    bytes[at] = bytes[at] == 'e' ? 'a' : 'e';
    write_text(changed.string() + ".new", bytes);
    fs::rename(changed.string() + ".new", changed);
    const CommandResult result = command.wait();
    EXPECT_NE(result.exit_code, 0) << ::testing::PrintToString(result);
    ASSERT_EQ(site.verdicts().size(), 2U) << ::testing::PrintToString(result);
    EXPECT_EQ(site.verdicts()[1].value("kind", ""), "run_identity_changed") << site.verdicts()[1].dump(2);
    EXPECT_FALSE(fs::exists(site.output() / "adapter"));
  }
}

}  // namespace
}  // namespace ftl
