// The adapter of a run is the same file, whatever the number of ranks, nodes and micro-batches it was trained with.
#include "tests/multiprocess/launched_run.h"

namespace ftl {
namespace {

struct Way {
  const char* name;
  std::vector<std::string> arguments;
};

class SameBytes : public ::testing::TestWithParam<Way> {};

TEST_P(SameBytes, ComeFromEveryWayToSpreadTheSameBatch) {
  FTL_REQUIRE_MPIRUN();
  RunSite site;
  const CommandResult result = site.run(GetParam().arguments);
  expect_undisturbed_result(site, result);
  EXPECT_TRUE(site.verdicts().empty());
  EXPECT_TRUE(site.left_in_state_directory().empty()) << ::testing::PrintToString(site.left_in_state_directory());
}

INSTANTIATE_TEST_SUITE_P(
    Runs, SameBytes,
    ::testing::Values(Way{"one_rank", {"--nodes", "1"}}, Way{"two_nodes", {"--nodes", "2"}},
                      Way{"three_nodes", {"--nodes", "3"}}, Way{"four_nodes", {"--nodes", "4"}},
                      Way{"two_nodes_of_two_ranks", {"--nodes", "2", "--ranks-per-node", "2"}},
                      Way{"one_node_of_three_ranks", {"--nodes", "1", "--ranks-per-node", "3"}},
                      // 12 sequences on five ranks: some have more to do than others.
                      Way{"five_ranks", {"--nodes", "5"}},
                      Way{"micro_batch_of_two", {"--nodes", "2", "--set", "per_device_train_batch_size=2"}},
                      Way{"micro_batch_of_four", {"--nodes", "2", "--set", "per_device_train_batch_size=4"}},
                      Way{"one_rank_with_micro_batch_of_four", {"--set", "per_device_train_batch_size=4"}},
                      Way{"one_rank_under_mpirun", {"--engine", "mpirun", "--backend", "mpi"}},
                      Way{"one_thread_a_rank", {"--nodes", "2", "--set", "threads_per_rank=1"}}),
    [](const auto& one) { return one.param.name; });

}  // namespace
}  // namespace ftl
