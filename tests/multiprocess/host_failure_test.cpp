// A host that refuses what a run needs: storage that cannot be written, memory that is not there. Both are named by the
// process that was refused, and end the run as a failed one, not as a usage error or a crash.
#include <sys/mount.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <thread>

#include "tests/multiprocess/launched_run.h"
#include "tests/multiprocess/tiny_inputs.h"

namespace ftl {
namespace {

namespace fs = std::filesystem;

// What is started while this is there has so much address space (ulimit -v) and no more.
class AddressSpace {
 public:
  explicit AddressSpace(std::size_t bytes) {
    ::getrlimit(RLIMIT_AS, &before_);
    const rlimit less{bytes, before_.rlim_max};
    ::setrlimit(RLIMIT_AS, &less);
  }
  AddressSpace(const AddressSpace&) = delete;
  AddressSpace& operator=(const AddressSpace&) = delete;
  ~AddressSpace() { ::setrlimit(RLIMIT_AS, &before_); }

 private:
  rlimit before_{};
};

TEST(StorageThatFails, IsTriedOnceMoreAndThenEndsTheRunWhichResumesWhenItIsMended) {
  RunSite site;
  Command command = site.start({"--inject", "fault=slow=500,rank=0,step=2,times=2"});
  ASSERT_TRUE(site.wait_for_step(1)) << ::testing::PrintToString(command.wait(Milliseconds(0)));
  write_text(site.output() / "checkpoints", "a file where a directory must be");
  const CommandResult result = command.wait();
  EXPECT_EQ(result.exit_code, 4) << ::testing::PrintToString(result);
  ASSERT_EQ(site.verdicts().size(), 2U) << ::testing::PrintToString(result);
  expect_verdict(site.verdicts()[0], {"storage_failed", "A.11", "A.2.3", 0, "retry"});
  expect_verdict(site.verdicts()[1], {"storage_failed", "A.11", "A.2.3", 0, "stop"});
  fs::remove(site.output() / "checkpoints");
  expect_undisturbed_result(site, site.run({}));
}

// A small file system of its own at `place`; needs root.
class SmallStorage {
 public:
  explicit SmallStorage(const fs::path& place) : place_(place) {
    fs::create_directories(place);
    mounted_ = ::mount("tmpfs", place.c_str(), "tmpfs", 0, "size=16m") == 0;
  }
  SmallStorage(const SmallStorage&) = delete;
  SmallStorage& operator=(const SmallStorage&) = delete;
  ~SmallStorage() {
    if (mounted_) ::umount2(place_.c_str(), MNT_DETACH);
  }
  bool mounted() const { return mounted_; }
  void fill() const {
    for (const std::size_t block : {std::size_t{65'536}, std::size_t{1}}) {
      std::ofstream file(place_ / "filler", std::ios::app | std::ios::binary);
      while (file.write(std::string(block, 'x').data(), static_cast<std::streamsize>(block)).flush()) {
      }
    }
  }
  void free() const { fs::remove(place_ / "filler"); }

 private:
  fs::path place_;
  bool mounted_ = false;
};

// Neither verdict nor metrics can be written then, but the run knows what ended it, says so, and loses no step.
TEST(StorageThatIsFull, IsNamedAfterItsTriesAndTheSameCommandResumesWhenThereIsSpace) {
  undisturbed_adapter();
  RunSite site;
  const SmallStorage storage(site.output());
  if (!storage.mounted()) GTEST_SKIP() << "no file system can be mounted here";
  Command command = site.start({"--inject", "fault=slow=200,rank=0,step=2", "--set", "recovery.max_restarts=2"});
  const bool began = site.wait_for_step(2);
  storage.fill();
  const CommandResult result = command.wait();
  ASSERT_TRUE(began) << ::testing::PrintToString(result);
  EXPECT_EQ(result.exit_code, 4) << ::testing::PrintToString(result);
  EXPECT_NE(result.all().find("storage_full"), std::string::npos) << ::testing::PrintToString(result);
  EXPECT_TRUE(site.left().empty());
  storage.free();
  expect_undisturbed_result(site, site.run({}));
}

TEST(StorageThatIsFull, IsWaitedForAndTheRunGoesOnWhenThereIsSpace) {
  undisturbed_adapter();
  RunSite site;
  const SmallStorage storage(site.output());
  if (!storage.mounted()) GTEST_SKIP() << "no file system can be mounted here";
  Command command = site.start({"--inject", "fault=slow=200,rank=0,step=2"});
  const bool began = site.wait_for_step(2);
  storage.fill();
  const bool tried = site.wait_until([&] {  // node-local memory has room
    const std::vector<std::string> files = site.left_in_state_directory();
    return std::ranges::any_of(
        files, [](const std::string& file) { return file.find("/attempt-3/spec.json") != std::string::npos; });
  });
  EXPECT_TRUE(tried);
  storage.free();
  const CommandResult result = command.wait();
  ASSERT_TRUE(began) << ::testing::PrintToString(result);
  EXPECT_NE(result.all().find("restart 2 of 10"), std::string::npos) << ::testing::PrintToString(result);
  EXPECT_EQ(result.exit_code, 0) << ::testing::PrintToString(result);
}

void flip_a_byte(const fs::path& file) {
  std::string bytes = read_text(file);
  ASSERT_FALSE(bytes.empty()) << file;
  bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 1);
  write_text(file, bytes);
}

TEST(ACheckpointDamagedBetweenTwoRuns, IsPassedOverAndHasItsVerdict) {
  undisturbed_adapter();
  RunSite site;
  const CommandResult ended = site.run({"--set", "recovery.enabled=false", "--inject", "fault=sigkill,rank=0,step=12"});
  ASSERT_EQ(ended.exit_code, 4) << ::testing::PrintToString(ended);
  for (const std::string& file : site.left_in_state_directory()) fs::remove(file);
  flip_a_byte(site.output() / "checkpoints" / "step-10" / "optimizer.safetensors");
  const CommandResult result = site.run({"--set", "recovery.enabled=true"});
  ASSERT_EQ(site.verdicts().size(), 2U) << ::testing::PrintToString(result);
  const Json verdict = site.verdicts()[1];
  expect_verdict(verdict, {"checkpoint_corrupt", "A.6.1", "C.2.1", -1, "previous_checkpoint"});
  EXPECT_NE(verdict.dump().find("step-10/optimizer.safetensors"), std::string::npos) << verdict.dump(2);
  EXPECT_EQ(verdict.value("step", 0), 5);
  expect_undisturbed_result(site, result);
}

}  // namespace
}  // namespace ftl
