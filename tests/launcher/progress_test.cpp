#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "launcher/progress.h"

namespace ftl {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

int cells(const std::string& text) {  // characters, not bytes
  int count = 0;
  for (const char c : text) count += (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  return count;
}

TEST(Progress, DurationsAreReadable) {
  EXPECT_EQ(format_duration(0), "0:00");
  EXPECT_EQ(format_duration(62.4), "1:02");
  EXPECT_EQ(format_duration(3600 * 3 + 4 * 60 + 5), "3:04:05");
  EXPECT_EQ(format_duration(86400 * 2 + 3600 * 3 + 240), "2 d 03:04");
  EXPECT_EQ(format_duration(-1), "?");
}

TEST(Progress, RatesAreShort) {
  EXPECT_EQ(format_rate(950), "950");
  EXPECT_EQ(format_rate(12345), "12.3k");
  EXPECT_EQ(format_rate(4.5e6), "4.5M");
}

TEST(Progress, TheBarNeverExceedsTheTerminal) {
  ProgressLine line{40, 100, 1.2345, 12345, 62, ""};
  for (int columns = 0; columns < 200; ++columns) EXPECT_LE(cells(format_bar(line, columns)), columns);
  EXPECT_THAT(format_bar(line, 120),
              HasSubstr(" 40%|████████████                  |  40/100  loss 1.2345  12.3k tokens/s  1:02 left"));
}

TEST(Progress, PlainLinesSayWhatIsKnown) {
  EXPECT_EQ(format_plain({4, 100, 1.5, 0, -1, ""}), "step   4/100  loss 1.5000");
  EXPECT_EQ(format_plain({4, 0, 1.5, 0, -1, "recovering"}), "step 4  recovering");
}

std::string written_by(ProgressOptions options) {
  char* text = nullptr;
  std::size_t size = 0;
  std::FILE* out = ::open_memstream(&text, &size);
  {
    Progress progress(options, out);
    RunStatus status;
    status.state = RunState::running;
    status.steps = 4;
    progress.on_status(status);
    for (std::int64_t step = 1; step <= 4; ++step) {
      ReportStep report;
      report.step = step;
      report.loss = 2.0;
      progress.on_step(report, {std::chrono::seconds(step)});
    }
    progress.say("an event");
    progress.always_say("the end");
  }
  std::fclose(out);
  std::string all(text, size);
  std::free(text);
  return all;
}

TEST(Progress, APipeGetsOneLineALoggingStep) {
  const std::string text = written_by({false, false, false, 2});
  EXPECT_EQ(text, "step 2/4  loss 2.0000  0:02 left\nstep 4/4  loss 2.0000  0:00 left\nan event\nthe end\n");
}

TEST(Progress, ATerminalGetsOneLineThatIsRedrawn) {
  const std::string text = written_by({true, false, false, 1});
  EXPECT_THAT(text, HasSubstr("\r"));
  EXPECT_THAT(text, HasSubstr("\r\x1b[Kan event\n"));
}

TEST(Progress, QuietKeepsOnlyWhatMustBeSaid) { EXPECT_EQ(written_by({true, false, true, 1}), "the end\n"); }

}  // namespace
}  // namespace ftl
