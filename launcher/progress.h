// What a person sees while a run goes on: one line at the bottom of a terminal that is redrawn, or plain lines in a
// pipe. Formatting is pure; Progress writes.
#pragma once

#include <cstdint>
#include <cstdio>
#include <string>

#include "comm/clock.h"
#include "comm/report.h"
#include "launcher/supervisor.h"

namespace ftl {

struct ProgressOptions {
  bool terminal = false;           // stdout is one
  bool colour = false;             // a terminal, and NO_COLOR is not set
  bool quiet = false;              // verdicts and the final message only
  std::int64_t logging_steps = 1;  // plain lines: one every so many steps
};

struct ProgressLine {
  std::int64_t step = 0;
  std::int64_t steps = 0;  // 0 = not known yet
  double loss = 0;
  double tokens_per_second = 0;
  double seconds_left = -1;  // < 0 = not known
  std::string state;         // "starting", "recovering"; empty while steps are made
};

// "  4%|█▏                  |    4/100  loss 1.2345  12.3k tokens/s  1:02 left", at most `columns` wide.
std::string format_bar(const ProgressLine& line, int columns);
// "step 4/100  loss 1.2345  12.3k tokens/s  1:02 left"
std::string format_plain(const ProgressLine& line);
std::string format_duration(double seconds);  // "1:02", "3:04:05", "2 d 03:04"
std::string format_rate(double per_second);   // "950", "12.3k", "4.5M"

class Progress {
 public:
  Progress(ProgressOptions options, std::FILE* out);
  ~Progress();  // leaves the cursor on a fresh line
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void on_status(const RunStatus& status);
  void on_step(const ReportStep& step, TimePoint now);
  void on_evaluation(const ReportEvaluation& evaluation);
  void on_verdict(const Verdict& verdict);
  void say(const std::string& line);  // above the bar; not when quiet
  void always_say(const std::string& line);

 private:
  void clear_bar();
  void draw_bar();
  ProgressOptions options_;
  std::FILE* out_;
  ProgressLine line_;
  std::int64_t first_step_ = -1;  // of this launcher: the time left is judged from what it saw itself
  TimePoint first_at_;
  bool bar_drawn_ = false;
};

}  // namespace ftl
