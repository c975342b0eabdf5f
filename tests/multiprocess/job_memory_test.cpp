// A job with a memory limit, as Slurm and Kubernetes set one, and a neighbour in it that takes what is left: the kernel
// ends a rank, which is named as such; the run goes on once the neighbour has gone.
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <fstream>

#include "tests/multiprocess/launched_run.h"

namespace ftl {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t job_limit_bytes = std::int64_t{256} << 20;
constexpr const char* steps = "100";  // long enough for the neighbour to fill the job
// A neighbour that never met the limit would take the machine's memory.
constexpr std::int64_t most_of_the_neighbour = 2 * job_limit_bytes;

bool write_text(const fs::path& path, const std::string& text) {
  std::ofstream file(path);
  file << text << std::flush;
  return file.good();
}

// A memory cgroup below this process's own, of version 1 or 2, removed at the end.
class JobCgroup {
 public:
  JobCgroup() {
    std::ifstream membership("/proc/self/cgroup");
    std::string unified;
    for (std::string line; std::getline(membership, line);) {
      if (line.find(":memory:") != std::string::npos)
        parent_ = "/sys/fs/cgroup/memory" + line.substr(line.rfind(':') + 1);
      if (line.starts_with("0::")) unified = line.substr(3);
    }
    version_2_ = parent_.empty();
    if (version_2_) parent_ = "/sys/fs/cgroup" + unified;
    directory_ = parent_ / ("ftl-job-" + std::to_string(::getpid()));
    std::error_code error;
    usable_ = fs::create_directory(directory_, error) &&
              write_text(directory_ / (version_2_ ? "memory.max" : "memory.limit_in_bytes"),
                         std::to_string(job_limit_bytes));
  }
  JobCgroup(const JobCgroup&) = delete;
  ~JobCgroup() {
    leave();
    ::rmdir(directory_.c_str());
  }
  bool usable() const { return usable_; }
  bool enter() const { return write_text(directory_ / "cgroup.procs", std::to_string(::getpid())); }
  void leave() const { write_text(parent_ / "cgroup.procs", std::to_string(::getpid())); }
  std::int64_t kills() const {
    std::ifstream counters(directory_ / (version_2_ ? "memory.events" : "memory.oom_control"));
    std::string name;
    for (std::int64_t count = 0; counters >> name >> count;)
      if (name == "oom_kill") return count;
    return 0;
  }

 private:
  bool version_2_ = false, usable_ = false;
  fs::path parent_, directory_;
};

// Takes memory of the job until the kernel has ended somebody else for it; then gives everything back.
[[noreturn]] void take_memory_until_somebody_is_killed(const JobCgroup& job) {
  constexpr std::size_t chunk = 1 << 20;
  if (!job.enter()) ::_exit(1);
  for (std::int64_t taken = 0; job.kills() == 0; taken += chunk) {
    void* memory = ::mmap(nullptr, chunk, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED || taken > most_of_the_neighbour) ::_exit(2);
    std::memset(memory, 1, chunk);
  }
  ::_exit(0);
}

TEST(AJobWithoutMemory, HasARankKilledByTheKernelWhichIsNamedAndTheRunGoesOn) {
  FTL_REQUIRE_MPIRUN();
  RunSite quiet;
  quiet.configure("max_steps", steps);
  ASSERT_EQ(quiet.run({}).exit_code, 0);
  JobCgroup job;
  if (!job.usable() || !job.enter())
    GTEST_SKIP() << "no memory cgroup can be made here (root and a writable cgroup are needed)";
  RunSite site;
  site.configure("max_steps", steps);
  Command command = site.start({"--nodes", "2", "--set", "per_device_train_batch_size=2"});
  job.leave();
  ASSERT_TRUE(site.wait_for_step(3)) << ::testing::PrintToString(command.wait(Milliseconds(0)));
  // Whom the kernel chooses is its own affair; here it is told, so that the culprit is known.
  const std::optional<pid_t> rank = site.wait_for_rank(1);
  ASSERT_TRUE(rank && write_text("/proc/" + std::to_string(*rank) + "/oom_score_adj", "1000"));
  const pid_t neighbour = ::fork();
  if (neighbour == 0) take_memory_until_somebody_is_killed(job);
  int status = 0;
  ASSERT_EQ(::waitpid(neighbour, &status, 0), neighbour);
  ASSERT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << "the kernel killed nobody, status " << status;
  const CommandResult result = command.wait();
  ASSERT_EQ(site.verdicts().size(), 1U) << ::testing::PrintToString(result);
  expect_verdict(site.verdicts()[0],
                 {"rank_killed_by_oom_killer", "A.5.2", "A.2.2", 1, "retry_with_smaller_micro_batch"});
  EXPECT_EQ(result.exit_code, 0) << ::testing::PrintToString(result);
  EXPECT_EQ(site.adapter(), quiet.adapter());
  EXPECT_TRUE(site.left().empty());
}

}  // namespace
}  // namespace ftl
