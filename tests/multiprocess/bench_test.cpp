// ftlaunch bench: a short real run of which only figures are left.
#include <csignal>

#include "tests/multiprocess/launched_run.h"

namespace ftl {
namespace {

namespace fs = std::filesystem;

TEST(Bench, MeasuresRealStepsAndLeavesNothing) {
  RunSite site;
  const fs::path scratch = site.directory() / "scratch";
  fs::create_directory(scratch);
  ::setenv("TMPDIR", scratch.c_str(), 1);
  const CommandResult result =
      site.verb({"bench", "--config", site.config().string(), "--engine", "local", "--steps", "6", "--json"});
  ::unsetenv("TMPDIR");
  ASSERT_EQ(result.exit_code, 0) << ::testing::PrintToString(result);
  const Json measured = Json::parse(result.out, nullptr, false);
  ASSERT_TRUE(measured.is_object()) << result.out;
  EXPECT_EQ(measured.value("schema", ""), "ftlaunch.bench/1");
  EXPECT_EQ(measured.value("steps", 0), 4);  // the first two do not count
  const Json seconds = measured.value("step_seconds", Json::object());
  EXPECT_GT(seconds.value("least", 0.0), 0.0);
  EXPECT_LE(seconds.value("least", 0.0), seconds.value("median", 0.0));
  EXPECT_LE(seconds.value("median", 0.0), seconds.value("most", 0.0));
  EXPECT_GT(measured.value("share_of_large_product", 0.0), 0.0);
  EXPECT_GT(measured.value("peak_rss_bytes", std::int64_t{0}), 1 << 20);
  EXPECT_TRUE(fs::is_empty(scratch));
  EXPECT_FALSE(fs::exists(site.output()));
  EXPECT_TRUE(site.left().empty());
  EXPECT_TRUE(site.left_in_state_directory().empty());
}

TEST(Bench, AnswersARequestToStopAndTidiesUp) {
  RunSite site;
  const fs::path scratch = site.directory() / "scratch";
  fs::create_directory(scratch);
  site.configure("resume_from_checkpoint", "\"5\"");  // of another directory
  ::setenv("TMPDIR", scratch.c_str(), 1);
  Command command = site.start_verb({"bench", "--config", site.config().string(), "--steps", "100000"});
  ::unsetenv("TMPDIR");
  ASSERT_TRUE(site.wait_until([&] { return site.process_of("fttrain", 0).has_value(); }));
  command.send(SIGTERM);
  const CommandResult result = command.wait();
  EXPECT_EQ(result.exit_code, 5) << ::testing::PrintToString(result);
  EXPECT_TRUE(fs::is_empty(scratch));
  EXPECT_TRUE(site.left().empty());
}

TEST(Bench, RefusesWhatARunRefuses) {
  RunSite site;
  site.configure("lora_target", "[no_such_proj]");
  const CommandResult result = site.verb({"bench", "--config", site.config().string()});
  EXPECT_EQ(result.exit_code, 3) << ::testing::PrintToString(result);
  EXPECT_NE(result.err.find("adapter_target_unmatched"), std::string::npos) << result.err;
  EXPECT_TRUE(result.out.empty()) << result.out;
}

}  // namespace
}  // namespace ftl
