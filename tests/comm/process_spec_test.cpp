#include "comm/process_spec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace ftl {
namespace {

ProcessSpec some_spec() {
  ProcessSpec spec;
  spec.run_id = "run-\"1\"";
  spec.attempt = Attempt{2};
  spec.world = WorldSize{4};
  spec.ranks_per_node = 2;
  spec.backend = "mpi";
  spec.threads_per_rank = 3;
  spec.run_directory = "/runs/a b";
  spec.state_directory = "/dev/shm/ftl-0/x";
  spec.resume_from = "hot:5";
  spec.run_identity = "abc";
  spec.expected_platform = "OpenBLAS avx2";
  spec.micro_batch = 2;
  spec.faults = {*parse_fault("fault=exit=7,rank=1,step=5"), *parse_fault("fault=sigkill")};
  spec.config_json = "{\"seed\": 1}\n";
  return spec;
}

TEST(ProcessSpec, ReadsBackWhatWasWritten) {
  const Result<ProcessSpec> read = process_spec_from_json(to_json(some_spec()));
  ASSERT_TRUE(read) << describe(read.error());
  EXPECT_EQ(to_json(*read), to_json(some_spec()));
  EXPECT_EQ(read->faults.at(0).value, 7);
  EXPECT_EQ(read->faults.at(1).fault, "sigkill");
  EXPECT_EQ(read->config_json, "{\"seed\": 1}\n");
}

TEST(ProcessSpec, FencesTheAttemptButNotTheHotState) {
  EXPECT_EQ(some_spec().ring_path(Rank{3}), "/dev/shm/ftl-0/x/attempt-2/rank-3.ring");
  EXPECT_EQ(some_spec().hot_state_path(Rank{3}), "/dev/shm/ftl-0/x/hot/rank-3.state");
}

TEST(ProcessSpec, IgnoresFieldsItDoesNotKnow) {
  std::string json = to_json(some_spec());
  json.insert(1, "\"of_the_future\": [1, 2],");
  EXPECT_TRUE(process_spec_from_json(json));
}

std::string with(const std::string& from, const std::string& to) {
  std::string json = to_json(some_spec());
  const std::size_t place = json.find(from);
  EXPECT_NE(place, std::string::npos) << from;
  return json.replace(place, from.size(), to);
}

TEST(ProcessSpec, RefusesWrongTypesAndRangesAndNamesTheField) {
  struct Case {
    const char* from;
    const char* to;
    const char* says;
  };
  for (const Case& c :
       {Case{"\"world\":4", "\"world\":0", "`world` is 0"}, Case{"\"world\":4", "\"world\":\"4\"", "`world`"},
        Case{"\"world\":4", "\"world\":4.5", "4.5"}, Case{"\"world\":4", "\"world\":99999999999", "99999999999"},
        Case{"\"world\":4", "\"world\":18446744073709551615", "18446744073709551615"},
        Case{"\"world\":4", "\"x\":4", "`world` is missing"}, Case{"\"attempt\":2", "\"attempt\":[[2]]", "an array"},
        Case{"\"backend\":\"mpi\"", "\"backend\":7", "`backend`"},
        Case{"\"faults\":[", "\"faults\":[3,", "not a JSON object"},
        Case{"\"step\":5", "\"step\":-5", "`step` is -5"}}) {
    const Result<ProcessSpec> read = process_spec_from_json(with(c.from, c.to));
    ASSERT_FALSE(read) << c.to;
    EXPECT_THAT(read.error().what, testing::HasSubstr(c.says));
  }
}

TEST(ProcessSpec, IsAFailureForEveryTruncationAndForGarbage) {
  const std::string json = to_json(some_spec());
  for (std::size_t length = 0; length < json.size(); ++length)
    ASSERT_FALSE(process_spec_from_json(json.substr(0, length)));
  EXPECT_FALSE(process_spec_from_json("[]"));
  EXPECT_FALSE(process_spec_from_json("\xff\xfe"));
  EXPECT_FALSE(process_spec_from_json(std::string(1 << 20, '[')));
  EXPECT_FALSE(
      process_spec_from_json(with("\"world\":4", "\"world\":" + std::string(100000, '[') + std::string(100000, ']'))));
  EXPECT_FALSE(process_spec_from_json("{" + std::string(17u << 20, ' ') + "}"));
}

}  // namespace
}  // namespace ftl
