// --inject: the first rows of the contract's table of faults, each with the verdict that it must get.
#include <regex>
#include <set>

#include "tests/multiprocess/launched_run.h"
#include "tests/multiprocess/tiny_inputs.h"

namespace ftl {
namespace {

namespace fs = std::filesystem;

struct Planted {
  const char* name;
  const char* fault;
  ExpectedVerdict verdict;
};

class InjectedFault : public ::testing::TestWithParam<Planted> {};

TEST_P(InjectedFault, GetsItsVerdictAndTheRunRecovers) {
  FTL_REQUIRE_MPIRUN();
  RunSite site;
  const CommandResult result = site.run({"--nodes", "2", "--inject", GetParam().fault});
  ASSERT_EQ(site.verdicts().size(), 1U) << ::testing::PrintToString(result);
  expect_verdict(site.verdicts()[0], GetParam().verdict);
  expect_undisturbed_result(site, result);
}

const ExpectedVerdict killed{"rank_killed", "A.11", "E", 1, "retry"};
const ExpectedVerdict crashed{"rank_crashed", "A.11", "E", 1, "retry"};
const ExpectedVerdict stuck{"rank_stuck", "B.2", "A.3.3", 1, "retry"};
const ExpectedVerdict writer_killed{"rank_killed", "A.11", "E", 0, "retry"};

INSTANTIATE_TEST_SUITE_P(
    Table, InjectedFault,
    ::testing::Values(Planted{"sigkill", "fault=sigkill,rank=1,step=5", killed},
                      Planted{"segv", "fault=segv,rank=1,step=5", crashed},
                      Planted{"exit", "fault=exit=7,rank=1,step=5", crashed},
                      Planted{"exit_zero", "fault=exit=0,rank=1,step=5", crashed},
                      Planted{"sigstop", "fault=sigstop,rank=1,step=5", stuck},
                      Planted{"hang_before_collective", "fault=hang_before_collective,rank=1,step=5", stuck},
                      Planted{"sigkill_in_init", "fault=sigkill,rank=1,step=1,phase=init", killed},
                      Planted{"sigkill_in_data", "fault=sigkill,rank=1,step=5,phase=data", killed},
                      Planted{"sigkill_in_forward", "fault=sigkill,rank=1,step=5,phase=forward", killed},
                      Planted{"sigkill_in_backward", "fault=sigkill,rank=1,step=5,phase=backward", killed},
                      Planted{"sigkill_in_reduce", "fault=sigkill,rank=1,step=5,phase=reduce", killed},
                      Planted{"sigkill_in_optimizer", "fault=sigkill,rank=1,step=5,phase=optimizer", killed},
                      // The writer, in the checkpoint of step 5 and in the end of the run of 12 steps.
                      Planted{"sigkill_in_checkpoint", "fault=sigkill,rank=0,step=5,phase=checkpoint", writer_killed},
                      Planted{"sigkill_in_finalize", "fault=sigkill,rank=0,step=12,phase=finalize", writer_killed}),
    [](const auto& one) { return one.param.name; });

// Faults that the rank itself names, and that are mended by doing it again.
INSTANTIATE_TEST_SUITE_P(NamedByTheRank, InjectedFault,
                         ::testing::Values(Planted{"comm_error",
                                                   "fault=comm_error=17,rank=1,step=5",
                                                   {"communication_failure", "A.9", "A.3.2", 1, "retry"}},
                                           Planted{"drop_connection",
                                                   "fault=drop_connection,rank=1,step=5",
                                                   {"communication_failure", "A.9", "A.3.2", 1, "retry"}},
                                           Planted{"disk_full",
                                                   "fault=disk_full,rank=0,step=4",
                                                   {"storage_full", "A.11", "A.2.3", 0, "retry"}},
                                           Planted{"torn_checkpoint",
                                                   "fault=torn_checkpoint,rank=0,step=4",
                                                   {"checkpoint_corrupt", "A.6.1", "C.2.1", 0, "previous_checkpoint"}},
                                           Planted{"bitflip_checkpoint",
                                                   "fault=bitflip_checkpoint,rank=0,step=4",
                                                   {"checkpoint_corrupt", "A.6.1", "C.2.1", 0, "previous_checkpoint"}}),
                         [](const auto& one) { return one.param.name; });

// Every rank sees the sum jump; the one whose own part of it did is named.
TEST(ALossSpike, IsReplayedOnceAndWasChance) {
  FTL_REQUIRE_MPIRUN();
  RunSite site;
  const CommandResult result = site.run({"--nodes", "2", "--inject", "fault=loss_spike,rank=1,step=9"});
  ASSERT_EQ(site.verdicts().size(), 1U) << ::testing::PrintToString(result);
  expect_verdict(site.verdicts()[0], {"loss_spike", "C.2.1", "B.1.2", 1, "replay_step"});
  expect_undisturbed_result(site, result);
}

TEST(ALossSpike, ThatComesAgainIsAppliedOrEndsTheRunAsTheConfigurationSays) {
  FTL_REQUIRE_MPIRUN();
  for (const bool stops : {false, true}) {
    RunSite site;
    const CommandResult result =
        site.run({"--nodes", "2", "--inject", "fault=loss_spike,rank=1,step=9,times=3", "--set",
                  std::string("recovery.loss_spike=") + (stops ? "stop" : "continue")});
    EXPECT_EQ(result.exit_code, stops ? 4 : 0) << ::testing::PrintToString(result);
    ASSERT_EQ(site.verdicts().size(), 2U) << ::testing::PrintToString(result);
    EXPECT_EQ(site.verdicts()[0].value("action", ""), "replay_step");
    EXPECT_EQ(site.verdicts()[1].value("action", ""), stops ? "stop" : "replay_step");
  }
}

// The second start is the replay.
TEST(ALossSpike, DoesNotEndARunWithoutRecoveryForEver) {
  RunSite site;
  const std::vector<std::string> command{"--inject", "fault=loss_spike,rank=0,step=9,times=2", "--set",
                                         "recovery.enabled=false"};
  const CommandResult first = site.run(command);
  EXPECT_EQ(first.exit_code, 4) << ::testing::PrintToString(first);
  const CommandResult second = site.run(command);
  EXPECT_EQ(second.exit_code, 0) << ::testing::PrintToString(second);
  ASSERT_EQ(site.verdicts().size(), 1U);
  EXPECT_EQ(site.verdicts()[0].value("action", ""), "stop");
}

TEST(ASlowRank, IsNamedOnceAndTheRunGoesOn) {
  FTL_REQUIRE_MPIRUN();
  RunSite site;
  const CommandResult result = site.run({"--nodes", "2", "--inject", "fault=slow=300,rank=1,step=3"});
  ASSERT_EQ(site.verdicts().size(), 1U) << ::testing::PrintToString(result);
  expect_verdict(site.verdicts()[0], {"straggler", "D.2", "A.3.3", 1, "observe"});
  EXPECT_EQ(site.verdicts()[0].value("attempt", 0), 1);
  EXPECT_FALSE(fs::exists(site.output() / "logs" / "attempt-2")) << "a second attempt was started";
  expect_undisturbed_result(site, result);
}

// Longer than a rank may be without a sign of life.
TEST(ASlowRank, IsNotStuckHoweverSlow) {
  FTL_REQUIRE_MPIRUN();
  RunSite site;
  const CommandResult result = site.run({"--nodes", "2", "--inject", "fault=slow=4000,rank=1,step=3,times=1"});
  EXPECT_TRUE(site.verdicts().empty()) << site.verdicts()[0].dump(2);
  expect_undisturbed_result(site, result);
}

TEST(InjectedFaults, OfTwoRanksInOneRunAreToldApart) {
  FTL_REQUIRE_MPIRUN();
  RunSite site;
  const CommandResult result =
      site.run({"--nodes", "3", "--inject", "fault=sigkill,rank=2,step=3", "--inject", "fault=segv,rank=0,step=7"});
  ASSERT_EQ(site.verdicts().size(), 2U) << ::testing::PrintToString(result);
  expect_verdict(site.verdicts()[0], {"rank_killed", "A.11", "E", 2, "retry"});
  expect_verdict(site.verdicts()[1], {"rank_crashed", "A.11", "E", 0, "retry"});
  expect_undisturbed_result(site, result);
}

TEST(ACrash, AtTheSameStepAgainEndsTheRun) {
  FTL_REQUIRE_MPIRUN();
  RunSite site;
  const CommandResult result = site.run({"--nodes", "2", "--inject", "fault=segv,rank=1,step=5,times=2"});
  EXPECT_EQ(result.exit_code, 4) << ::testing::PrintToString(result);
  ASSERT_EQ(site.verdicts().size(), 2U);
  EXPECT_EQ(site.verdicts()[0].value("action", ""), "retry");
  EXPECT_EQ(site.verdicts()[1].value("action", ""), "stop");
  EXPECT_EQ(site.status().value("state", ""), "failed");
  EXPECT_TRUE(site.left().empty());
}

bool no_cgroup_here(const RunSite& site) {
  std::error_code error;
  for (fs::recursive_directory_iterator entry(site.output() / "logs", error), end; !error && entry != end;
       entry.increment(error)) {
    if (entry->is_regular_file() &&
        read_text(entry->path()).find("no memory cgroup can be made here") != std::string::npos)
      return true;
  }
  return false;
}

TEST(OutOfMemory, IsRetriedWithASmallerMicroBatch) {
  FTL_REQUIRE_MPIRUN();
  RunSite site;
  const CommandResult result =
      site.run({"--nodes", "2", "--set", "per_device_train_batch_size=2", "--inject", "fault=oom,rank=1,step=5"});
  if (no_cgroup_here(site))
    GTEST_SKIP() << "no memory cgroup can be made here, so the kernel's OOM-killer cannot be provoked";
  ASSERT_EQ(site.verdicts().size(), 1U) << ::testing::PrintToString(result);
  expect_verdict(site.verdicts()[0],
                 {"rank_killed_by_oom_killer", "A.5.2", "A.2.2", 1, "retry_with_smaller_micro_batch"});
  expect_undisturbed_result(site, result);
}

TEST(OutOfMemory, WithTheSmallestMicroBatchEndsTheRun) {
  FTL_REQUIRE_MPIRUN();
  RunSite site;
  const CommandResult result = site.run({"--nodes", "2", "--inject", "fault=oom,rank=1,step=5"});
  if (no_cgroup_here(site))
    GTEST_SKIP() << "no memory cgroup can be made here, so the kernel's OOM-killer cannot be provoked";
  EXPECT_EQ(result.exit_code, 4) << ::testing::PrintToString(result);
  ASSERT_EQ(site.verdicts().size(), 1U);
  expect_verdict(site.verdicts()[0], {"rank_killed_by_oom_killer", "A.5.2", "A.2.2", 1, "stop"});
}

struct WrongCall {
  const char* fault;
  int ranks;
  int odd;
};

class WrongCollective : public ::testing::TestWithParam<WrongCall> {
 protected:
  std::vector<std::string> command_line() const {
    return {"--nodes", std::to_string(GetParam().ranks), "--inject",
            std::string("fault=") + GetParam().fault + ",rank=" + std::to_string(GetParam().odd) + ",step=5"};
  }
};

// "exact_sum f32 x 184,321 at step 118"
std::set<std::string> signatures_in(const Json& verdict) {
  static const std::regex signature(
      "(exact_sum|all_reduce|all_gather|reduce_scatter|broadcast|gather|send|receive|barrier) "
      "(f32|bf16|f16|i32|i64|u8) x [0-9,]+( at step [0-9]+)?");
  std::set<std::string> found;
  for (const Json& fact : verdict.value("evidence", Json::array())) {
    const std::string text = fact.value("fact", "");
    for (std::sregex_iterator match(text.begin(), text.end(), signature), end; match != end; ++match)
      found.insert(match->str());
  }
  return found;
}

TEST_P(WrongCollective, IsNotRetriedUntilItIsForced) {
  FTL_REQUIRE_MPIRUN();
  RunSite site;
  const CommandResult first = site.run(command_line());
  EXPECT_EQ(first.exit_code, 4) << ::testing::PrintToString(first);
  ASSERT_EQ(site.verdicts().size(), 1U) << ::testing::PrintToString(first);
  const Json verdict = site.verdicts()[0];
  expect_verdict(verdict, {"collective_mismatch", "B.2", "A.3.3", GetParam().odd, "stop"});
  EXPECT_FALSE(verdict.value("retryable", true));
  EXPECT_EQ(verdict.value("attempt", 0), 1);
  EXPECT_GE(signatures_in(verdict).size(), 2U) << verdict.dump(2);
  EXPECT_EQ(site.status().value("state", ""), "failed");
  EXPECT_TRUE(site.left().empty());
  EXPECT_FALSE(fs::exists(site.output() / "adapter"));

  const CommandResult again = site.run(command_line());
  EXPECT_EQ(again.exit_code, 3) << ::testing::PrintToString(again);
  EXPECT_NE(again.all().find("collective_mismatch"), std::string::npos) << ::testing::PrintToString(again);
  EXPECT_FALSE(fs::exists(site.output() / "logs" / "attempt-2")) << "a second attempt was started";
  EXPECT_EQ(site.verdicts().size(), 1U);

  std::vector<std::string> forced = command_line();
  forced.insert(forced.end(), {"--resume", "force"});
  expect_undisturbed_result(site, site.run(forced));
  EXPECT_EQ(site.verdicts().size(), 1U) << "a fault that had fired did so again";
}

INSTANTIATE_TEST_SUITE_P(Faults, WrongCollective,
                         ::testing::Values(WrongCall{"mismatch_collective", 2, 1},
                                           WrongCall{"mismatch_collective", 3, 2}, WrongCall{"skip_collective", 2, 1},
                                           WrongCall{"skip_collective", 3, 0}),
                         [](const auto& one) {
                           return std::string(one.param.fault) + "_among_" + std::to_string(one.param.ranks);
                         });

}  // namespace
}  // namespace ftl
