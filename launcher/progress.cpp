#include "launcher/progress.h"

#include <fmt/format.h>
#include <stdio_ext.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>

namespace ftl {
namespace {

constexpr int narrow = 40;  // below this many columns there is no room for a bar
constexpr int bar_widest = 30;

// The eighths of a cell.
constexpr const char* partial[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};

std::string bar_of(double share, int cells) {
  const int eighths = static_cast<int>(std::clamp(share, 0.0, 1.0) * cells * 8);
  std::string bar;
  for (int cell = 0; cell < eighths / 8; ++cell) bar += "█";
  bar += partial[eighths % 8];
  const int used = eighths / 8 + (eighths % 8 != 0 ? 1 : 0);
  return bar.append(static_cast<std::size_t>(cells - used), ' ');
}

std::string facts_of(const ProgressLine& line) {
  if (!line.state.empty()) return line.state;
  std::string facts = fmt::format("loss {:.4f}", line.loss);
  if (line.tokens_per_second > 0) facts += "  " + format_rate(line.tokens_per_second) + " tokens/s";
  if (line.seconds_left >= 0) facts += "  " + format_duration(line.seconds_left) + " left";
  return facts;
}

std::string count_of(const ProgressLine& line) {
  if (line.steps <= 0) return std::to_string(line.step);
  const std::string steps = std::to_string(line.steps);
  return fmt::format("{:>{}}/{}", line.step, steps.size(), steps);
}

int columns_of(std::FILE* out) {
  winsize size{};
  return ::ioctl(::fileno(out), TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

}  // namespace

std::string format_duration(double seconds) {
  if (!std::isfinite(seconds) || seconds < 0 || seconds > 1e9) return "?";
  const auto whole = static_cast<std::int64_t>(seconds + 0.5);
  const std::int64_t days = whole / 86400, hours = whole / 3600 % 24, minutes = whole / 60 % 60;
  if (days > 0) return fmt::format("{} d {:02}:{:02}", days, hours, minutes);
  if (hours > 0) return fmt::format("{}:{:02}:{:02}", hours, minutes, whole % 60);
  return fmt::format("{}:{:02}", minutes, whole % 60);
}

std::string format_rate(double per_second) {
  if (per_second < 999.5) return fmt::format("{:.0f}", per_second);
  if (per_second < 999.5e3) return fmt::format("{:.1f}k", per_second / 1e3);
  return fmt::format("{:.1f}M", per_second / 1e6);
}

std::string format_bar(const ProgressLine& line, int columns) {
  const double share = line.steps > 0 ? static_cast<double>(line.step) / static_cast<double>(line.steps) : 0;
  const std::string right = count_of(line) + "  " + facts_of(line);
  const std::string left = fmt::format("{:3.0f}%", std::floor(std::clamp(share, 0.0, 1.0) * 100));
  const int room = columns - static_cast<int>(left.size() + right.size()) - 3;  // two edges and a space
  if (columns < narrow || room < 4) return right.substr(0, static_cast<std::size_t>(std::max(columns, 0)));
  return left + "|" + bar_of(share, std::min(room, bar_widest)) + "| " + right;
}

std::string format_plain(const ProgressLine& line) { return "step " + count_of(line) + "  " + facts_of(line); }

Progress::Progress(ProgressOptions options, std::FILE* out) : options_(options), out_(out) { line_.state = "starting"; }

Progress::~Progress() {
  clear_bar();
  if (std::fflush(out_) == 0 && std::ferror(out_) == 0) return;
  // The run is worth more than its lines: it keeps its exit code.
  std::fputs("ftlaunch: standard output is full or closed: lines were lost; `ftlaunch status DIR` tells the rest\n",
             stderr);
  ::__fpurge(out_);
  std::clearerr(out_);
}

void Progress::clear_bar() {
  if (!bar_drawn_) return;
  std::fputs("\r\x1b[K", out_);
  std::fflush(out_);
  bar_drawn_ = false;
}

void Progress::draw_bar() {
  if (!options_.terminal || options_.quiet) return;
  // One column stays free: a full line would wrap on some terminals.
  std::fprintf(out_, "\r%s\x1b[K", format_bar(line_, columns_of(out_) - 1).c_str());
  std::fflush(out_);
  bar_drawn_ = true;
}

void Progress::on_status(const RunStatus& status) {
  line_.steps = status.steps;
  const bool ended =
      status.state == RunState::finished || status.state == RunState::failed || status.state == RunState::stopped;
  line_.state = status.state == RunState::running ? "" : std::string(name_of(status.state));
  if (status.state == RunState::running && line_.step == 0) line_.state = "running";
  if (!ended) draw_bar();
}

void Progress::on_step(const ReportStep& step, TimePoint now) {
  if (first_step_ < 0 || step.step <= first_step_) {
    first_step_ = step.step;
    first_at_ = now;
  }
  line_.step = step.step;
  line_.loss = step.loss;
  line_.state.clear();
  if (step.seconds > 0) line_.tokens_per_second = static_cast<double>(step.tokens) / step.seconds;
  const double seconds = std::chrono::duration<double>(now - first_at_).count();
  const auto made = static_cast<double>(step.step - first_step_);
  const auto left = static_cast<double>(line_.steps - step.step);
  line_.seconds_left = made > 0 && left >= 0 ? seconds / made * left : -1;
  if (options_.quiet) return;
  if (options_.terminal) return draw_bar();
  const bool due = options_.logging_steps > 0 && (step.step % options_.logging_steps == 0 || step.step == line_.steps);
  if (due) {
    std::fprintf(out_, "%s\n", format_plain(line_).c_str());
    std::fflush(out_);
  }
}

void Progress::on_evaluation(const ReportEvaluation& evaluation) {
  say(fmt::format("step {}  eval_loss {:.4f}", evaluation.step, evaluation.eval_loss));
}

void Progress::on_verdict(const Verdict& verdict) {
  const std::string text = describe(verdict);
  always_say(options_.colour ? "\x1b[33m" + text + "\x1b[0m" : text);
}

void Progress::say(const std::string& line) {
  if (!options_.quiet) always_say(line);
}

void Progress::always_say(const std::string& line) {
  const bool redraw = bar_drawn_;
  clear_bar();
  std::fprintf(out_, "%s\n", line.c_str());
  std::fflush(out_);
  if (redraw) draw_bar();
}

}  // namespace ftl
