#include "launcher/metrics_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <vector>

#include "launcher/run_files.h"
#include "tests/launcher/full_storage.h"

namespace ftl {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::SizeIs;

class MetricsFileTest : public testing::Test {
 protected:
  MetricsFileTest() {
    std::string pattern = testing::TempDir() + "ftl-metrics-XXXXXX";
    root = ::mkdtemp(pattern.data());
    path = root + "/metrics.jsonl";
  }
  ~MetricsFileTest() override { std::filesystem::remove_all(root); }

  static MetricsRecord step(std::int64_t number) { return {number, false, 2.5, 1, 0.1, 10, 0.5}; }
  static MetricsRecord evaluation(std::int64_t number) { return {number, true, 1.25, 0, 0, 99, 0.1}; }
  // "1 2 e2 3": the lines of the file; e marks an evaluation, ? a line that is none of ours.
  std::string lines() const {
    std::string text;
    for_each_line(path, [&](std::string_view line) {
      const std::size_t at = line.find("\"step\":");
      const bool is_evaluation = line.find("eval_loss") != std::string_view::npos;
      text += text.empty() ? "" : " ";
      text += at == std::string_view::npos ? "?" : (is_evaluation ? "e" : "");
      if (at != std::string_view::npos) text += std::to_string(std::atoi(std::string(line.substr(at + 7)).c_str()));
    });
    return text;
  }
  void fill(MetricsFile& file, std::int64_t steps) {
    for (std::int64_t number = 1; number <= steps; ++number) ASSERT_TRUE(file.append(step(number)));
  }

  std::string root, path;
};

TEST_F(MetricsFileTest, HasEveryLineOnceHoweverOftenItIsReported) {
  {
    MetricsFile file(path);
    ASSERT_TRUE(file.append(evaluation(0)));
    fill(file, 2);
    ASSERT_TRUE(file.append(step(2)));
    ASSERT_TRUE(file.append(evaluation(2)));
  }
  MetricsFile again(path);  // another launcher, whose ranks evaluate once more
  ASSERT_TRUE(again.append(evaluation(2)));
  ASSERT_TRUE(again.append(step(3)));
  EXPECT_EQ(lines(), "e0 1 2 e2 3");
}

TEST_F(MetricsFileTest, WritesAgainWhatTheStateKnowsAndADeadLauncherDidNotWrite) {
  MetricsFile file(path);
  fill(file, 2);
  const std::vector<MetricsRecord> recent{step(1), step(2), evaluation(2), step(3), step(4), evaluation(4)};
  const auto lost = file.restore(4, recent);
  ASSERT_TRUE(lost);
  EXPECT_EQ(*lost, "");
  EXPECT_EQ(lines(), "1 2 e2 3 4 e4");
}

TEST_F(MetricsFileTest, DropsLinesBeyondTheRestoredStepAndGarbageAndDoubles) {
  {
    MetricsFile file(path);
    fill(file, 5);
  }
  std::ofstream(path, std::ios::app) << "garbage\n{\"step\":3,\"loss\":1}\n{\"half";
  MetricsFile file(path);
  EXPECT_EQ(lines(), "1 2 3 4 5 ? 3");
  ASSERT_TRUE(file.restore(4, {}));
  EXPECT_EQ(lines(), "1 2 3 4");
  ASSERT_TRUE(file.append(step(5)));
  EXPECT_EQ(lines(), "1 2 3 4 5");
}

TEST_F(MetricsFileTest, SaysWhichLinesNobodyKnows) {
  MetricsFile file(path);
  fill(file, 2);
  const auto lost = file.restore(9, std::vector{step(7), step(8), step(9)});
  ASSERT_TRUE(lost);
  EXPECT_THAT(*lost, HasSubstr("steps 3 to 6"));
  EXPECT_EQ(lines(), "1 2 7 8 9");
}

TEST_F(MetricsFileTest, KeepsEveryLineOfAFileThatNoMemoryWouldHold) {
  std::ofstream(path) << "{\"step\":1,\"loss\":1}\n";
  std::filesystem::resize_file(path, std::uintmax_t{9} << 27);  // 1.1 GiB, a hole without an end of line
  std::ofstream(path, std::ios::app) << "\n{\"step\":2,\"loss\":1}\n{\"step\":3,\"loss\":1}\n";
  MetricsFile file(path);
  ASSERT_TRUE(file.restore(2, {}));
  EXPECT_EQ(lines(), "1 2");
}

TEST_F(MetricsFileTest, LinesThatAFullStorageRefusedComeInOrderOnceItHasRoom) {
  MetricsFile file(path);
  fill(file, 2);
  const auto before = std::filesystem::file_size(path);
  {
    const FullStorage full(before + 10);  // a part of a line fits
    EXPECT_FALSE(file.append(step(3)));
    EXPECT_FALSE(file.append(evaluation(3)));
    EXPECT_EQ(std::filesystem::file_size(path), before) << "a part of a line was left";
  }
  ASSERT_TRUE(file.append(step(4)));
  ASSERT_TRUE(file.append(step(3)));  // known already
  EXPECT_EQ(lines(), "1 2 3 e3 4");
}

TEST_F(MetricsFileTest, LinesThatAFullStorageRefusedAreWrittenOnceWhenARunGoesOn) {
  MetricsFile file(path);
  fill(file, 2);
  {
    const FullStorage full(std::filesystem::file_size(path) + 10);
    EXPECT_FALSE(file.append(step(3)));
  }
  const std::vector<MetricsRecord> recent{step(2), step(3)};
  ASSERT_TRUE(file.restore(3, recent));
  ASSERT_TRUE(file.append(step(4)));
  EXPECT_EQ(lines(), "1 2 3 4");
}

// An attempt ends while the storage is still full: neither what is restored nor what is dropped then may lose a line.
TEST_F(MetricsFileTest, LinesThatAFullStorageRefusedOutliveTheRestartOfARun) {
  MetricsFile file(path);
  fill(file, 2);
  {
    const FullStorage full(std::filesystem::file_size(path) + 10);
    for (std::int64_t number = 3; number <= 6; ++number) EXPECT_FALSE(file.append(step(number)));
    EXPECT_FALSE(file.restore(5, {})) << "what the state does not know the file does";
    const std::vector<MetricsRecord> recent{step(4), step(5)};
    EXPECT_FALSE(file.restore(5, recent));
  }
  ASSERT_TRUE(file.flush());
  EXPECT_EQ(lines(), "1 2 3 4 5");
}

TEST_F(MetricsFileTest, ATornLineIsCutOffHoweverLongItIs) {
  std::ofstream(path) << "{\"step\":1}\n" << std::string(300'000, 'x');
  cut_torn_line(path);
  EXPECT_EQ(std::filesystem::file_size(path), 11U);
  std::ofstream(path) << std::string(300'000, 'x');
  cut_torn_line(path);
  EXPECT_EQ(std::filesystem::file_size(path), 0U);
}

}  // namespace
}  // namespace ftl
