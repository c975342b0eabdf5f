// What surrounds ftlaunch: limits of the shell, outputs that are full or closed, values that are no values. Each is
// named and ends with its exit code; none is called a bug.
#include <cstdlib>

#include <sys/wait.h>

#include "tests/multiprocess/launched_run.h"
#include "tests/multiprocess/tiny_inputs.h"

namespace ftl {
namespace {

using ::testing::PrintToString;

// A line of a shell in the site's directory, where $FTLAUNCH is the program; what it prints goes to `out` and `err`.
CommandResult shell(const RunSite& site, const std::string& line) {
  const std::string out = (site.directory() / "shell-out").string(), err = (site.directory() / "shell-err").string();
  const std::string all =
      "cd " + site.directory().string() +
      " && export FTLAUNCH=" FTL_BINARY_DIR "/bin/ftlaunch FTL_STATE_DIR=" + site.directory().string() + " && { " +
      line + "; } > " + out + " 2> " + err;
  CommandResult result;
  const int status = std::system(("timeout 60 bash -c '" + all + "'").c_str());
  result.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  result.out = read_text(out);
  result.err = read_text(err);
  return result;
}

struct Limit {
  const char* name;
  const char* option;
  const char* value;
};

class SmallLimit : public ::testing::TestWithParam<Limit> {};

TEST_P(SmallLimit, IsNamedWithItsMendBeforeALaunch) {
  RunSite site;
  const std::string ulimit = std::string("ulimit ") + GetParam().option;
  const CommandResult result = shell(site, "(" + ulimit + " " + GetParam().value + "; $FTLAUNCH --config config.yaml)");
  EXPECT_EQ(result.exit_code, 3) << PrintToString(result);
  EXPECT_NE(result.err.find(ulimit), std::string::npos) << PrintToString(result);
  EXPECT_TRUE(site.verdicts().empty());
}

INSTANTIATE_TEST_SUITE_P(Limits, SmallLimit,
                         ::testing::Values(Limit{"open_files", "-n", "9"}, Limit{"file_size", "-f", "8"},
                                           Limit{"address_space", "-v", "100000"}, Limit{"stack", "-s", "64"}),
                         [](const auto& one) { return one.param.name; });

struct LostOutput {
  const char* name;
  const char* command;
};

class OutputThatIsLost : public ::testing::TestWithParam<LostOutput> {};

TEST_P(OutputThatIsLost, IsSaidAndEndsWithThree) {
  RunSite site;
  const std::string model = tiny_inputs().model.string();
  const CommandResult result = shell(site, "export MODEL=" + model + "; " + GetParam().command);
  EXPECT_EQ(result.exit_code, 3) << PrintToString(result);
  EXPECT_NE(result.err.find("standard output is full or closed"), std::string::npos) << PrintToString(result);
}

INSTANTIATE_TEST_SUITE_P(
    Verbs, OutputThatIsLost,
    ::testing::Values(
        LostOutput{"tokenize_full",
                   "echo {\\\"text\\\":\\\"a\\\"} | $FTLAUNCH tokenize --tokenizer $MODEL > /dev/full"},
        LostOutput{"tokenize_closed", "echo {\\\"text\\\":\\\"a\\\"} | $FTLAUNCH tokenize --tokenizer $MODEL >&-"},
        LostOutput{"generate", "$FTLAUNCH generate --model $MODEL --prompt a --max-new-tokens 1 > /dev/full"},
        LostOutput{"help", "$FTLAUNCH -h > /dev/full"},
        LostOutput{"dry_run", "$FTLAUNCH --config config.yaml --dry-run > /dev/full"}),
    [](const auto& one) { return one.param.name; });

TEST(LostOutputOfARun, IsSaidAndChangesNothingElse) {
  RunSite site;
  const CommandResult result = shell(site, "$FTLAUNCH --config config.yaml --set max_steps=2 > /dev/full");
  EXPECT_EQ(result.exit_code, 0) << PrintToString(result);
  EXPECT_NE(result.err.find("lines were lost"), std::string::npos) << PrintToString(result);
  EXPECT_TRUE(site.adapter().complete());
}

struct NoValue {
  const char* name;
  std::vector<std::string> arguments;
};

class ValueThatIsNone : public ::testing::TestWithParam<NoValue> {};

TEST_P(ValueThatIsNone, IsRefusedAsUsage) {
  RunSite site;
  const CommandResult result = site.verb(GetParam().arguments);
  EXPECT_EQ(result.exit_code, 2) << PrintToString(result);
  EXPECT_FALSE(result.err.empty());
}

INSTANTIATE_TEST_SUITE_P(
    Values, ValueThatIsNone,
    ::testing::Values(
        NoValue{"nan_temperature", {"generate", "--model", ".", "--prompt", "a", "--temperature", "nan"}},
        NoValue{"negative_seed", {"generate", "--model", ".", "--prompt", "a", "--seed", "-1"}},
        NoValue{"huge_seed", {"generate", "--model", ".", "--prompt", "a", "--seed", "99999999999999999999999"}},
        NoValue{"empty_model", {"generate", "--model", "", "--prompt", "a"}},
        NoValue{"empty_output", {"--config", "config.yaml", "--dry-run", "--output-dir", ""}},
        NoValue{"empty_nodes", {"--config", "config.yaml", "--dry-run", "--nodes", ""}},
        NoValue{"overflowing_world",
                {"--config", "config.yaml", "--dry-run", "--nodes", "65536", "--ranks-per-node", "65536"}}),
    [](const auto& one) { return one.param.name; });

TEST(APlantedFaultThatNeverFired, IsNamedAtTheEndAndInTheStatus) {
  RunSite site;
  const std::string fault = "fault=sigkill,rank=0,step=1000";
  const CommandResult result = site.run({"--set", "max_steps=2", "--inject", fault});
  EXPECT_EQ(result.exit_code, 0) << PrintToString(result);
  EXPECT_NE(result.out.find("did not fire: --inject " + fault), std::string::npos) << PrintToString(result);
  EXPECT_EQ(site.status_file().value("faults_not_fired", Json()), Json::array({fault}));
}

}  // namespace
}  // namespace ftl
