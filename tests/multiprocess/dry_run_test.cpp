// --dry-run: everything that all ranks would do, said by one process that starts nothing and writes nothing.
#include <set>

#include "tests/multiprocess/launched_run.h"

namespace ftl {
namespace {

TEST(DryRun, PrintsConfigurationPlacementMemoryAndCollectives) {
  RunSite site;
  const CommandResult result = site.run({"--nodes", "4", "--dry-run"});
  EXPECT_EQ(result.exit_code, 0) << ::testing::PrintToString(result);
  // Defaults that nobody wrote are part of the resolved configuration, options override the file.
  for (const char* text : {"max_grad_norm: 1", "nodes: 4", "lr_scheduler_type: \"cosine\"", "global_batch_size: 12",
                           "exact_sum", "optimizer moments", "base weights"}) {
    EXPECT_NE(result.out.find(text), std::string::npos) << "no \"" << text << "\" in\n" << result.out;
  }
}

TEST(DryRun, StartsNoProcessAndWritesNothing) {
  RunSite site;
  Command command = site.start({"--nodes", "4", "--dry-run"});
  std::set<std::string> programs;
  while (command.running()) {
    for (const MarkedProcess& one : site.processes()) programs.insert(one.program);
  }
  const CommandResult result = command.wait();
  EXPECT_EQ(result.exit_code, 0) << ::testing::PrintToString(result);
  for (const char* program : {"mpirun", "ftkeeper", "fttrain"}) EXPECT_EQ(programs.count(program), 0U) << program;
  EXPECT_FALSE(std::filesystem::exists(site.output()));
  EXPECT_TRUE(site.left_in_state_directory().empty());
}

TEST(DryRun, OfABadRunIsRefusedLikeTheRun) {
  RunSite site;
  site.configure("lora_target", "[no_such_proj]");
  const CommandResult result = site.run({"--dry-run"});
  EXPECT_EQ(result.exit_code, 3) << ::testing::PrintToString(result);
}

TEST(DryRun, GoesBeyondTheCoresOfThisMachine) {
  RunSite site;
  site.configure("global_batch_size", "256");
  const CommandResult result = site.run({"--nodes", "64", "--dry-run"});
  EXPECT_EQ(result.exit_code, 0) << ::testing::PrintToString(result);
  EXPECT_NE(result.out.find("64"), std::string::npos);
}

TEST(Verbs, OfLaterVersionsSaySo) {
  RunSite site;
  for (const char* verb : {"diagnose", "simulate", "doctor", "reshard"}) {
    const CommandResult result = site.verb({verb, "x"});
    EXPECT_EQ(result.exit_code, 2) << verb;
    EXPECT_NE(result.err.find("not in this version"), std::string::npos) << verb << ": " << result.err;
  }
}

TEST(Verbs, ExplainAKindASymptomAndARootCause) {
  RunSite site;
  for (const char* word : {"rank_killed", "collective_mismatch", "S:B.2", "R:A.3.3"}) {
    const CommandResult result = site.verb({"explain", word});
    EXPECT_EQ(result.exit_code, 0) << word << ::testing::PrintToString(result);
    EXPECT_FALSE(result.out.empty()) << word;
  }
  EXPECT_EQ(site.verb({"explain", "no_such_kind"}).exit_code, 2);
}

TEST(Verbs, StatusOfADirectoryWithoutARunIsAUsageError) {
  RunSite site;
  const CommandResult result = site.verb({"status", site.directory().string(), "--json"});
  EXPECT_EQ(result.exit_code, 2) << ::testing::PrintToString(result);
}

TEST(RunJson, HoldsTheResolvedConfiguration) {
  RunSite site;
  const CommandResult result = site.run({"--set", "weight_decay=0.01"});
  ASSERT_EQ(result.exit_code, 0) << ::testing::PrintToString(result);
  const std::string text = site.run_json().dump();
  EXPECT_NE(text.find("weight_decay"), std::string::npos) << text;
  EXPECT_NE(text.find("0.01"), std::string::npos) << text;
  EXPECT_NE(text.find("max_grad_norm"), std::string::npos) << text;
}

}  // namespace
}  // namespace ftl
