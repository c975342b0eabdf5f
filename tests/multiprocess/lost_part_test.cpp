// kill -9 of what is not a rank: the launcher, a keeper, mpirun. No process of the run is left after five seconds, and
// the run comes to the same bytes, by itself or by the same command.
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <charconv>
#include <csignal>
#include <thread>

#include "tests/multiprocess/launched_run.h"

namespace ftl {
namespace {

struct World {
  const char* name;
  std::vector<std::string> arguments;
};

class KilledLauncher : public ::testing::TestWithParam<World> {};

TEST_P(KilledLauncher, LeavesNothingBehindAndTheSameCommandResumes) {
  FTL_REQUIRE_MPIRUN();
  undisturbed_adapter();
  RunSite site;
  Command command = site.start(GetParam().arguments);
  ASSERT_TRUE(site.wait_for_step(4)) << ::testing::PrintToString(command.wait(Milliseconds(0)));
  command.send(SIGKILL);
  EXPECT_EQ(command.wait().signal, SIGKILL);
  const std::vector<MarkedProcess> left = site.left();
  EXPECT_TRUE(left.empty()) << describe(left);
  EXPECT_EQ(site.status().value("state", ""), "failed");
  expect_undisturbed_result(site, site.run(GetParam().arguments));
  EXPECT_TRUE(site.left_in_state_directory().empty()) << ::testing::PrintToString(site.left_in_state_directory());
}

TEST_P(KilledLauncher, WhileRanksAreStartingLeavesNothingBehindEither) {
  FTL_REQUIRE_MPIRUN();
  undisturbed_adapter();
  RunSite site;
  Command command = site.start(GetParam().arguments);
  ASSERT_TRUE(site.wait_for_rank(0)) << ::testing::PrintToString(command.wait(Milliseconds(0)));
  command.send(SIGKILL);
  command.wait();
  const std::vector<MarkedProcess> left = site.left();
  EXPECT_TRUE(left.empty()) << describe(left);
  expect_undisturbed_result(site, site.run(GetParam().arguments));
}

TEST_P(KilledLauncher, ThatWasBehindItsRanksLosesNoLineOfTheMetrics) {
  FTL_REQUIRE_MPIRUN();
  undisturbed_adapter();
  RunSite site;
  Command command = site.start(GetParam().arguments);
  ASSERT_TRUE(site.wait_for_step(2)) << ::testing::PrintToString(command.wait(Milliseconds(0)));
  command.send(SIGSTOP);  // it hears nothing more, while the ranks go on
  const std::int64_t heard = site.last_step();
  std::this_thread::sleep_for(Milliseconds(500));
  command.send(SIGKILL);
  command.wait();
  EXPECT_TRUE(site.left().empty());
  EXPECT_LE(site.last_step(), heard + 1);
  expect_undisturbed_result(site, site.run(GetParam().arguments));
}

INSTANTIATE_TEST_SUITE_P(Worlds, KilledLauncher,
                         ::testing::Values(World{"one_rank", {}}, World{"three_ranks", {"--nodes", "3"}}),
                         [](const auto& one) { return one.param.name; });

struct Part {
  const char* name;
  const char* program;
  int rank;  // -1: it has none
  ExpectedVerdict verdict;
  std::vector<std::string> arguments;
};

class KilledPart : public ::testing::TestWithParam<Part> {};

TEST_P(KilledPart, IsNamedAndTheSameCommandRecovers) {
  FTL_REQUIRE_MPIRUN();
  undisturbed_adapter();
  RunSite site;
  Command command = site.start(GetParam().arguments);
  ASSERT_TRUE(site.wait_for_step(1)) << ::testing::PrintToString(command.wait(Milliseconds(0)));
  const std::optional<pid_t> pid = site.process_of(GetParam().program, GetParam().rank);
  ASSERT_TRUE(pid) << describe(site.processes());
  const std::vector<MarkedProcess> ranks_before = of_program(site.processes(), "fttrain");
  ASSERT_EQ(::kill(*pid, SIGKILL), 0);
  const CommandResult result = command.wait();
  ASSERT_EQ(site.verdicts().size(), 1U) << ::testing::PrintToString(result);
  expect_verdict(site.verdicts()[0], GetParam().verdict);
  expect_undisturbed_result(site, result);
  EXPECT_FALSE(ranks_before.empty());
}

INSTANTIATE_TEST_SUITE_P(
    Parts, KilledPart,
    ::testing::Values(
        Part{"keeper_of_rank_1", "ftkeeper", 1, {"keeper_lost", "A.11", "E", 1, "retry"}, {"--nodes", "2"}},
        Part{"keeper_of_rank_0_of_three", "ftkeeper", 0, {"keeper_lost", "A.11", "E", 0, "retry"}, {"--nodes", "3"}},
        Part{"keeper_of_the_only_rank", "ftkeeper", 0, {"keeper_lost", "A.11", "E", 0, "retry"}, {}},
        // Ranks need mpirun to start, not to go on: they are slowed, so that its loss is judged before their end.
        Part{"mpirun",
             "mpirun",
             -1,
             {"engine_lost", "A.11", "E", -1, "retry"},
             {"--nodes", "2", "--inject", "fault=slow=1000,rank=0,step=3,times=2"}}),
    [](const auto& one) { return one.param.name; });

// kill -STOP of mpirun: it forwards nothing and lets no rank go, while every rank is well.
TEST(AStoppedEngine, IsEndedAndNamedAndTheRunRecovers) {
  FTL_REQUIRE_MPIRUN();
  undisturbed_adapter();
  RunSite site;
  Command command = site.start({"--nodes", "2", "--inject", "fault=slow=1500,rank=0,step=3,times=3"});
  ASSERT_TRUE(site.wait_for_step(1)) << ::testing::PrintToString(command.wait(Milliseconds(0)));
  const std::optional<pid_t> engine = site.process_of("mpirun");
  ASSERT_TRUE(engine) << describe(site.processes());
  ASSERT_EQ(::kill(*engine, SIGSTOP), 0);
  const CommandResult result = command.wait();
  ASSERT_EQ(site.verdicts().size(), 1U) << ::testing::PrintToString(result);
  expect_verdict(site.verdicts()[0], {"engine_lost", "A.11", "E", -1, "retry"});
  EXPECT_NE(site.verdicts()[0].dump().find("was stopped"), std::string::npos) << site.verdicts()[0].dump(2);
  expect_undisturbed_result(site, result);
}

// Ends the network connections of another process, as a router does that forgets them: the process itself is untouched.
// Nullopt: this system does not let a process take hold of another's sockets.
std::optional<int> break_connections_of(pid_t pid) {
  const int handle = static_cast<int>(::syscall(SYS_pidfd_open, pid, 0));
  if (handle < 0) return std::nullopt;
  int broken = 0;
  bool allowed = true;
  std::error_code error;
  for (std::filesystem::directory_iterator entry("/proc/" + std::to_string(pid) + "/fd", error), end;
       !error && entry != end; entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    int number = -1;
    std::from_chars(name.data(), name.data() + name.size(), number);
    const int socket = static_cast<int>(::syscall(SYS_pidfd_getfd, handle, number, 0));
    if (socket < 0 && (errno == EPERM || errno == ENOSYS)) allowed = false;
    if (socket < 0) continue;
    int domain = 0;
    socklen_t size = sizeof domain;
    const bool network =
        ::getsockopt(socket, SOL_SOCKET, SO_DOMAIN, &domain, &size) == 0 && (domain == AF_INET || domain == AF_INET6);
    if (network && ::shutdown(socket, SHUT_RDWR) == 0) ++broken;
    ::close(socket);
  }
  ::close(handle);
  return allowed ? std::optional(broken) : std::nullopt;
}

TEST(ADroppedConnection, OfAKeeperThatLivesIsToldFromALostKeeper) {
  FTL_REQUIRE_MPIRUN();
  undisturbed_adapter();
  RunSite site;
  Command command = site.start({"--nodes", "2"});
  ASSERT_TRUE(site.wait_for_step(1)) << ::testing::PrintToString(command.wait(Milliseconds(0)));
  const std::optional<pid_t> keeper = site.process_of("ftkeeper", 1);
  ASSERT_TRUE(keeper) << describe(site.processes());
  const std::optional<int> broken = break_connections_of(*keeper);
  const CommandResult result = command.wait();
  if (!broken) GTEST_SKIP() << "pidfd_getfd is not permitted here: no connection can be broken from outside";
  EXPECT_GE(*broken, 1);
  ASSERT_EQ(site.verdicts().size(), 1U) << ::testing::PrintToString(result);
  expect_verdict(site.verdicts()[0], {"communication_failure", "A.9", "A.3.2", 1, "retry"});
  expect_undisturbed_result(site, result);
}

}  // namespace
}  // namespace ftl
