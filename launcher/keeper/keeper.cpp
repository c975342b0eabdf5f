#include "launcher/keeper/keeper.h"

#include <poll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <deque>
#include <utility>

#include "comm/report.h"
#include "launcher/engines/process_table.h"
#include "launcher/keeper/line_splitter.h"
#include "launcher/keeper/oom_evidence.h"
#include "launcher/keeper/rank_process.h"

namespace ftl {
namespace {

constexpr Duration pulse_every = std::chrono::milliseconds(100);
constexpr Duration leave_within = std::chrono::seconds(1);  // after a SIGTERM from the engine
constexpr std::size_t pulse_backlog =
    64 * 1024;  // with more than this unsent, the launcher is not keeping up: a pulse would be stale
constexpr std::size_t log_backlog = 512 * 1024;          // log lines are dropped and counted
constexpr std::size_t report_backlog = 8 * 1024 * 1024;  // weeks of steps; beyond it the rank does not report but flood
constexpr Duration come_back_within = std::chrono::seconds(2);
constexpr Duration news_within = std::chrono::seconds(1);
constexpr std::size_t pulse_entries = 8;
constexpr std::size_t drain_limit = 4 * 1024 * 1024;

class Keeper {
 public:
  Keeper(const KeeperOptions& options, ControlLink link, Clock& clock)
      : options_(options), link_(std::move(link)), clock_(clock), next_pulse_(clock.now()) {}
  int run();

 private:
  void start_rank();
  void poll_once();
  void on_signals();
  void on_orders();
  void on_connection_lost();
  void break_connection();
  void forward_reports(std::size_t limit);
  void forward_logs(Descriptor& pipe, LineSplitter& splitter, std::size_t limit);
  void take_log(LineSplitter::Line line);
  void send_logs();
  void send_pulse();
  void on_rank_end(const RankProcess::End& end);
  bool rank_lives() const { return rank_.has_value() && !evidence_sent_; }

  const KeeperOptions& options_;
  ControlLink link_;
  Clock& clock_;
  Descriptor signals_;
  std::optional<RankProcess> rank_;
  std::optional<OomWatch> oom_;
  LineSplitter reports_{report_line_limit};
  LineSplitter output_{log_line_limit};
  LineSplitter error_{log_line_limit};
  LogBatch batch_;
  std::size_t batch_bytes_ = 0;
  std::deque<std::string> last_lines_;
  TimePoint next_pulse_;
  std::optional<TimePoint> leave_at_;
  bool evidence_sent_ = false;
  bool connected_ = true;
  bool came_back_ = false;
  bool dismissed_ = false;
};

// Reads at most `limit` bytes without waiting; closes the pipe at its end.
template <class Take>
void read_pipe(Descriptor& pipe, std::size_t limit, Take take) {
  std::array<char, 64 * 1024> bytes;
  for (std::size_t total = 0; pipe && total < limit;) {
    const ssize_t got = ::read(pipe.get(), bytes.data(), bytes.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0) return pipe.reset();
    take(std::string_view(bytes.data(), static_cast<std::size_t>(got)));
    total += static_cast<std::size_t>(got);
  }
}

// A rank has no connection of its own to the launcher: when it announces this fault, its keeper carries it out.
bool is_drop_of_connection(const std::string& report_line) {
  if (report_line.find("drop_connection") == std::string::npos) return false;
  const auto report = decode_report(report_line);
  const auto* fired = report ? std::get_if<ReportFaultFired>(&*report) : nullptr;
  if (fired == nullptr) return false;
  const auto fault = parse_fault(fired->spec);
  return fault && fault->fault == "drop_connection";
}

int Keeper::run() {
  sigset_t set;
  ::sigemptyset(&set);
  for (const int signal : {SIGCHLD, SIGTERM, SIGINT, SIGHUP}) ::sigaddset(&set, signal);
  signals_ = Descriptor(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  link_.send(Hello{options_.spec.attempt, options_.rank, options_.node, static_cast<std::int32_t>(::getpid())});
  start_rank();
  for (;;) {
    if (dismissed_ && !rank_lives()) return 0;
    if (!connected_ && !rank_lives()) return 1;
    if (leave_at_ && !rank_lives() && clock_.now() >= *leave_at_) return 1;
    poll_once();
  }
}

void Keeper::start_rank() {
  auto started = RankProcess::start(options_.rank_command);
  if (!started) {
    last_lines_.push_back("ftkeeper: " + started.error().what);
    batch_.lines.push_back(last_lines_.back());
    send_logs();
    ExitEvidence evidence;
    evidence.status.code = 127;
    evidence.last_lines.assign(last_lines_.begin(), last_lines_.end());
    link_.send(evidence);
    evidence_sent_ = true;
    return;
  }
  rank_ = std::move(*started);
  oom_.emplace(rank_->pid());
  link_.send(RankUp{static_cast<std::int32_t>(rank_->pid())});
}

void Keeper::poll_once() {
  std::array<pollfd, 5> entries{};
  std::size_t count = 0;
  const auto watch = [&](int descriptor, short events) { entries[count++] = pollfd{descriptor, events, 0}; };
  watch(signals_.get(), POLLIN);
  // A descriptor of -1 is passed over by poll.
  watch(connected_ ? link_.descriptor() : -1, static_cast<short>(POLLIN | (link_.pending_bytes() > 0 ? POLLOUT : 0)));
  watch(rank_ ? rank_->report.get() : -1, POLLIN);
  watch(rank_ ? rank_->standard_output.get() : -1, POLLIN);
  watch(rank_ ? rank_->standard_error.get() : -1, POLLIN);
  const auto wait = std::chrono::duration_cast<std::chrono::milliseconds>(next_pulse_ - clock_.now()).count();
  if (::poll(entries.data(), count, wait < 0 ? 0 : static_cast<int>(wait) + 1) < 0) return;  // interrupted

  if (entries[2].revents != 0) forward_reports(64 * 1024);
  if (entries[3].revents != 0) forward_logs(rank_->standard_output, output_, 64 * 1024);
  if (entries[4].revents != 0) forward_logs(rank_->standard_error, error_, 64 * 1024);
  if (entries[0].revents != 0) on_signals();
  if (connected_ && (entries[1].revents & ~POLLOUT) != 0) on_orders();
  if (clock_.now() >= next_pulse_) {
    next_pulse_ = clock_.now() + pulse_every;
    send_logs();
    if (rank_lives()) send_pulse();
  }
  if (batch_bytes_ >= log_batch_bytes || batch_.lines.size() >= log_batch_limit) send_logs();
  if (connected_ && !link_.flush()) on_connection_lost();
}

void Keeper::on_signals() {
  signalfd_siginfo info;
  while (::read(signals_.get(), &info, sizeof info) == sizeof info) {
    if (info.ssi_signo == SIGCHLD) continue;
    // The engine is being torn down. Evidence first, then leave.
    if (!leave_at_) leave_at_ = clock_.now() + leave_within;
    if (rank_lives()) rank_->kill();
  }
  if (!rank_lives()) return;
  if (const auto end = rank_->reap()) on_rank_end(*end);
}

void Keeper::on_orders() {
  const auto orders = link_.receive();
  if (!orders) return on_connection_lost();
  for (const KeeperOrder order : *orders) {
    if (order == KeeperOrder::stop && rank_lives()) rank_->terminate();
    if (order == KeeperOrder::kill && rank_lives()) rank_->kill();
    if (order == KeeperOrder::dismiss) {
      dismissed_ = true;
      if (rank_lives()) rank_->kill();  // dismissed with a living rank: it goes first
    }
  }
}

// The rank goes in any case. A launcher that is still there then hears that only the connection was lost; one try is
// enough to tell, and a keeper that cannot come back counts as lost.
void Keeper::on_connection_lost() {
  connected_ = false;
  if (!rank_lives()) return;
  rank_->kill();
  if (std::exchange(came_back_, true)) return;
  auto link = ControlLink::connect(options_.control, options_.secret, clock_, come_back_within);
  if (!link) return;
  link_ = std::move(*link);
  connected_ = true;
  link_.send(
      Hello{options_.spec.attempt, options_.rank, options_.node, static_cast<std::int32_t>(::getpid()), came_back_});
}

// The planted fault. The news of it goes out first, or it would be planted in the next attempt again.
void Keeper::break_connection() {
  const TimePoint deadline = clock_.now() + news_within;
  while (link_.flush() && link_.pending_bytes() > 0 && clock_.now() < deadline) {
    pollfd writable{link_.descriptor(), POLLOUT, 0};
    ::poll(&writable, 1, 10);
  }
  ::shutdown(link_.descriptor(), SHUT_RDWR);
}

void Keeper::forward_reports(std::size_t limit) {
  const auto forward = [&](const LineSplitter::Line& line) {
    if (line.cut || link_.pending_bytes() > report_backlog) {
      return take_log({"ftkeeper: a report was dropped: " + line.text.substr(0, 120), true});
    }
    if (connected_) link_.send(ReportLine{line.text});
    if (connected_ && is_drop_of_connection(line.text)) break_connection();
  };
  read_pipe(rank_->report, limit, [&](std::string_view bytes) {
    for (const auto& line : reports_.feed(bytes)) forward(line);
  });
}

void Keeper::forward_logs(Descriptor& pipe, LineSplitter& splitter, std::size_t limit) {
  read_pipe(pipe, limit, [&](std::string_view bytes) {
    for (auto& line : splitter.feed(bytes)) take_log(std::move(line));
  });
}

void Keeper::take_log(LineSplitter::Line line) {
  if (line.cut) line.text += " [cut]";
  last_lines_.push_back(line.text);
  if (last_lines_.size() > last_lines_limit) last_lines_.pop_front();
  const bool full = batch_bytes_ >= log_batch_bytes || batch_.lines.size() >= log_batch_limit;
  if (full) send_logs();
  if (link_.pending_bytes() > log_backlog) {
    ++batch_.dropped;
    return;
  }
  batch_bytes_ += line.text.size();
  batch_.lines.push_back(std::move(line.text));
}

void Keeper::send_logs() {
  if (batch_.lines.empty() && batch_.dropped == 0) return;
  if (link_.pending_bytes() > log_backlog) return;
  if (connected_) link_.send(batch_);
  batch_ = LogBatch{};
  batch_bytes_ = 0;
}

void Keeper::send_pulse() {
  oom_->refresh();
  if (!connected_ || link_.pending_bytes() > pulse_backlog) return;
  Pulse pulse;
  const auto stat = process_stat(rank_->pid());
  pulse.state = stat ? stat->state : ProcessState::gone;
  if (stat) pulse.cpu_seconds = static_cast<double>(stat->cpu_ticks) / static_cast<double>(::sysconf(_SC_CLK_TCK));
  auto ring = read_ring(options_.spec.ring_path(options_.rank), pulse_entries);
  pulse.ring_readable = ring.has_value();
  if (ring) pulse.ring = std::move(*ring);
  pulse.at = clock_.now();
  link_.send(pulse);
}

void Keeper::on_rank_end(const RankProcess::End& end) {
  OomEvidence oom = oom_->collect();
  rank_->reap_descendants();
  forward_reports(drain_limit);
  forward_logs(rank_->standard_output, output_, drain_limit);
  forward_logs(rank_->standard_error, error_, drain_limit);
  for (LineSplitter* splitter : {&output_, &error_}) {
    for (auto& line : splitter->finish()) take_log(std::move(line));
  }
  send_logs();
  ExitEvidence evidence;
  evidence.status = end.status;
  evidence.peak_resident_bytes = end.peak_resident_bytes;
  evidence.pid = static_cast<std::int32_t>(rank_->pid());
  evidence.killed_by_keeper = rank_->killed_by_us();
  evidence.oom = std::move(oom);
  evidence.last_lines.assign(last_lines_.begin(), last_lines_.end());
  const std::string ring_path = options_.spec.ring_path(options_.rank);
  auto ring = read_ring(ring_path, recent_entries_limit);
  if (ring) {
    evidence.ring = std::move(*ring);
    auto bytes = read_small_file(ring_path, ring_file_limit);
    if (bytes && connected_) link_.send(RingFile{std::move(*bytes)});
  }
  if (connected_) link_.send(evidence);
  evidence_sent_ = true;
}

}  // namespace

int keep(const KeeperOptions& options, ControlLink link, Clock& clock) {
  return Keeper(options, std::move(link), clock).run();
}

}  // namespace ftl
