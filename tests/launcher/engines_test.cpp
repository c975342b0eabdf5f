#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>

#include "launcher/engines/engine.h"

namespace ftl {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

EngineRequest request_of(EngineKind kind, int world) {
  EngineRequest request;
  request.kind = kind;
  request.keeper = "/opt/ftkeeper";
  request.rank_command = {"/opt/fttrain", "--spec", "/s/spec.json"};
  request.spec_path = "/s/spec.json";
  request.control_address = "127.0.0.1:4000";
  request.secret = "cafe";
  request.marker = "FTL_ATTEMPT=run/1";
  request.scratch_directory = "/s";
  request.world = WorldSize{world};
  return request;
}

bool has_sequence(const std::vector<std::string>& argv, const std::vector<std::string>& part) {
  return std::search(argv.begin(), argv.end(), part.begin(), part.end()) != argv.end();
}

TEST(LocalEngine, IsOneKeeper) {
  const auto command = engine_command(request_of(EngineKind::local, 1));
  EXPECT_THAT(command.argv, ElementsAre("/opt/ftkeeper", "--control", "127.0.0.1:4000", "--spec", "/s/spec.json",
                                        "--rank", "0", "--", "/opt/fttrain", "--spec", "/s/spec.json"));
}

TEST(MpirunEngine, StartsOneKeeperARankAndBindsNothing) {
  const auto argv = engine_command(request_of(EngineKind::mpirun, 4)).argv;
  EXPECT_EQ(argv[0], "mpirun");
  EXPECT_TRUE(has_sequence(argv, {"-np", "4"}));
  EXPECT_TRUE(has_sequence(argv, {"--bind-to", "none"}));
  EXPECT_THAT(argv, Contains("--oversubscribe"));
  EXPECT_TRUE(has_sequence(
      argv, {"/opt/ftkeeper", "--control", "127.0.0.1:4000", "--spec", "/s/spec.json", "--", "/opt/fttrain"}));
  EXPECT_THAT(argv, Not(Contains("--rank"))) << "each keeper learns its rank from mpirun";
}

TEST(MpirunEngine, PassesTheSecretByNameOnly) {
  const auto command = engine_command(request_of(EngineKind::mpirun, 2));
  EXPECT_TRUE(has_sequence(command.argv, {"-x", "FTL_SECRET"}));
  EXPECT_THAT(command.argv, Not(Contains(HasSubstr("cafe"))));
  EXPECT_THAT(command.environment, Contains("FTL_SECRET=cafe"));
}

TEST(MpirunEngine, SaysSoWhenItIsToldToRunAsRoot) {
  auto request = request_of(EngineKind::mpirun, 2);
  EXPECT_THAT(engine_command(request).argv, Not(Contains("--allow-run-as-root")));
  EXPECT_THAT(engine_command(request).notes, IsEmpty());
  request.root = true;
  EXPECT_THAT(engine_command(request).argv, Contains("--allow-run-as-root"));
  EXPECT_THAT(engine_command(request).notes, Contains(HasSubstr("--allow-run-as-root")));
}

TEST(MpirunEngine, LeavesTheTransportOpenWhenThereAreOtherHosts) {
  auto request = request_of(EngineKind::mpirun, 2);
  EXPECT_TRUE(has_sequence(engine_command(request).argv, {"--mca", "btl", "self,vader"}));
  request.hostfile = "hosts";
  EXPECT_FALSE(has_sequence(engine_command(request).argv, {"--mca", "btl", "self,vader"}));
  EXPECT_TRUE(has_sequence(engine_command(request).argv, {"--hostfile", "hosts"}));
}

TEST(Environment, ReplacesAndRemoves) {
  ::setenv("FTL_TEST_A", "old", 1);
  ::setenv("FTL_TEST_B", "secret", 1);
  const auto environment = environment_with({"FTL_TEST_A=new"}, {"FTL_TEST_B"});
  EXPECT_THAT(environment, Contains("FTL_TEST_A=new"));
  EXPECT_THAT(environment, Not(Contains("FTL_TEST_A=old")));
  EXPECT_THAT(environment, Not(Contains(HasSubstr("FTL_TEST_B"))));
}

}  // namespace
}  // namespace ftl
