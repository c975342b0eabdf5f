#include "launcher/preflight.h"

#include <functional>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace ftl {
namespace {

Survey good_survey() {
  Survey survey;
  survey.trainable_parameters = 1000;
  survey.memory = {{"base weights", 1 << 20, "all"}, {"hot state", 24000, "all", MemoryPlace::shared}};
  return survey;
}

struct Case {
  const char* name;
  std::function<void(RunConfig&, MachineFacts&, Survey&)> spoil;
  FaultKind kind;
  int code;
  const char* words;  // that the message must have
};

class Refused : public testing::TestWithParam<Case> {};

TEST_P(Refused, WithItsKindAndBothNumbers) {
  RunConfig config;
  MachineFacts machine;
  Survey survey = good_survey();
  GetParam().spoil(config, machine, survey);
  std::vector<Failure> found = judge_configuration(config, machine);
  if (found.empty()) found = judge_fit(config, place(config, 2), survey, machine).failures;
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].kind, GetParam().kind);
  EXPECT_EQ(exit_code(found), GetParam().code);
  EXPECT_THAT(found[0].what + " " + found[0].fix, testing::HasSubstr(GetParam().words));
}

const Case cases[] = {
    {"dp_against_world",
     [](auto& c, auto&, auto&) {
       c.parallel.dp = 4;
       c.nodes = 2;
     },
     FaultKind::parallel_world_mismatch, 2, "4 ranks"},
    {"cuda", [](auto& c, auto&, auto&) { c.device = "cuda"; }, FaultKind::not_in_this_version, 2, "cuda"},
    {"local_engine_for_two",
     [](auto& c, auto&, auto&) {
       c.engine = "local";
       c.nodes = 2;
     },
     FaultKind::usage_error, 2, "2 are asked for"},
    {"missing_file",
     [](auto&, auto& m, auto&) {
       m.paths = {{FaultKind::file_not_found, "there is no data.jsonl", "data.jsonl", ""}};
     },
     FaultKind::file_not_found, 2, "data.jsonl"},
    {"more_ranks_than_sequences", [](auto& c, auto&, auto&) { c.nodes = 9; }, FaultKind::batch_not_divisible, 3,
     "9 ranks"},
    {"no_mpirun",
     [](auto& c, auto& m, auto&) {
       c.nodes = 2;
       m.mpirun_found = false;
     },
     FaultKind::backend_unavailable, 3, "mpirun"},
    {"small_shared_memory",
     [](auto&, auto& m, auto&) {
       m.state_places = {{"/shm", 1 << 20, 0}, {"/tmp", 2 << 20, 0}};
     },
     FaultKind::node_state_too_small, 3, "needs 6315456 bytes: /shm has 1048576 free, /tmp has 2097152 free"},
    {"full_disk", [](auto&, auto& m, auto&) { m.output_free = 10; }, FaultKind::storage_full, 3, "0 MiB are free"},
    {"the_surveys_own",
     [](auto&, auto&, auto& s) {
       s.failures = {{FaultKind::dataset_empty, "no example", "", ""}};
     },
     FaultKind::dataset_empty, 3, "no example"},
};
INSTANTIATE_TEST_SUITE_P(Preflight, Refused, testing::ValuesIn(cases),
                         [](const auto& tested) { return tested.param.name; });

TEST(Preflight, FindsNothingWrongWithTheDefaults) {
  const RunConfig config;
  EXPECT_TRUE(judge_configuration(config, {}).empty());
  EXPECT_TRUE(judge_fit(config, place(config, 2), good_survey(), {}).failures.empty());
}

TEST(Preflight, IsContentWithTheSecondPlaceForNodeLocalStateAsTheRunIs) {
  MachineFacts machine;
  machine.state_places = {{"/shm", 1 << 20, 0}, {"/tmp", 1 << 30, 0}};
  EXPECT_TRUE(judge_fit({}, place({}, 2), good_survey(), machine).failures.empty());
}

TEST(Preflight, DividesTheCoresOfTheMachineAmongAllRanksOfAllLogicalNodes) {
  RunConfig config;
  config.nodes = 2;
  config.ranks_per_node = 2;
  EXPECT_EQ(place(config, 16).threads_per_rank, 4);
  EXPECT_EQ(place(config, 2).threads_per_rank, 1);
  EXPECT_EQ(place(config, 16).engine, "mpirun");
}

TEST(Preflight, TheEarliestStageDecidesTheExitCode) {
  EXPECT_EQ(exit_code({{FaultKind::dataset_empty, "", "", ""}, {FaultKind::file_not_found, "", "", ""}}), 2);
  EXPECT_EQ(exit_code(std::vector<Failure>{}), 0);
}

}  // namespace
}  // namespace ftl
