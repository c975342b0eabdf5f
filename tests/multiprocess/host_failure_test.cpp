// A host that refuses what a run needs: storage that cannot be written, memory that is not there. Both are named by the
// process that was refused, and end the run as a failed one, not as a usage error or a crash.
#include <sys/resource.h>

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
  fs::create_directories(site.output());
  write_text(site.output() / "checkpoints", "a file where a directory must be");
  const CommandResult result = site.run({});
  EXPECT_EQ(result.exit_code, 4) << ::testing::PrintToString(result);
  ASSERT_EQ(site.verdicts().size(), 2U) << ::testing::PrintToString(result);
  expect_verdict(site.verdicts()[0], {"storage_failed", "A.11", "A.2.3", 0, "retry"});
  expect_verdict(site.verdicts()[1], {"storage_failed", "A.11", "A.2.3", 0, "stop"});
  fs::remove(site.output() / "checkpoints");
  expect_undisturbed_result(site, site.run({}));
}

}  // namespace
}  // namespace ftl
