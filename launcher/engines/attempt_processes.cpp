#include "launcher/engines/attempt_processes.h"

#include <poll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <deque>
#include <map>
#include <set>

#include "launcher/control/sealed_frames.h"
#include "launcher/control/server.h"
#include "launcher/engines/process_table.h"
#include "launcher/keeper/line_splitter.h"

namespace ftl {
namespace {

namespace asio = boost::asio;

constexpr std::size_t engine_line_limit = 4096;
constexpr std::size_t engine_last_lines = 40;
// mpirun notices the end of its keepers by itself, but may take seconds to leave. Nothing of the attempt depends on it
// then.
constexpr Duration engine_asked_after = std::chrono::milliseconds(200);
constexpr Duration engine_killed_after = std::chrono::milliseconds(1200);
constexpr Duration engine_stopped_at_most = std::chrono::seconds(2);
// A little more than a keeper gives itself.
constexpr Duration keeper_comes_back_within = std::chrono::milliseconds(2500);
constexpr int engine_reaped_within_ms = 1000;

// Keepers of a dead mpirun and ranks of a dead keeper come to us, the next subreaper, and would stay as zombies.
void reap_orphans(pid_t except) {
  for (;;) {
    siginfo_t child{};
    if (::waitid(P_ALL, 0, &child, WEXITED | WNOHANG | WNOWAIT) != 0 || child.si_pid == 0) return;
    if (child.si_pid == except || ::waitpid(child.si_pid, nullptr, WNOHANG) <= 0) return;  // the engine: next time
  }
}

}  // namespace

struct AttemptProcesses::Impl : std::enable_shared_from_this<AttemptProcesses::Impl> {
  Impl(asio::io_context& io, EngineRequest wanted, Attempt number, AttemptSink callbacks)
      : request(std::move(wanted)), attempt(number), sink(std::move(callbacks)), output(io) {}

  void read_output();
  void take_output(std::string_view bytes);
  void drain_output();
  void on_message(Rank rank, KeeperMessage message);
  void on_closed(Rank rank, const std::string& why);
  void on_hello(const Hello& hello);
  bool lives(Rank keeper_of) const;
  void give_up_absent(TimePoint now);
  void look_for_engine();
  void end_stopped_engine(TimePoint now);
  void hurry_engine(TimePoint now);

  EngineRequest request;
  Attempt attempt;
  AttemptSink sink;
  asio::posix::stream_descriptor output;
  std::array<char, 16 * 1024> input{};
  LineSplitter lines{engine_line_limit};
  std::deque<std::string> last_lines;
  std::unique_ptr<ControlServer> server;
  StartedEngine engine;
  std::optional<TimePoint> engine_stopped_since;
  struct Keeper {
    pid_t pid = 0;
    std::uint64_t start_ticks = 0;
  };
  struct Absence {
    std::string why;
    std::optional<TimePoint> since;  // set when it is first looked at
  };
  std::map<Rank, Keeper> keepers;        // of this machine
  std::map<Rank, Absence> absent;        // without a connection, but alive: they may come back
  std::set<Rank> confirmed;              // their ranks are dead and reaped
  std::optional<TimePoint> alone_since;  // no keeper is connected any more, after dismiss() or destroy()
  bool keeper_heard = false;
  bool engine_ended = false;
  bool ending = false;  // dismissed or destroyed
  bool asked = false;
  bool gone = false;
};

void AttemptProcesses::Impl::read_output() {
  output.async_read_some(asio::buffer(input),
                         [self = shared_from_this()](boost::system::error_code error, std::size_t count) {
                           if (error) return;
                           self->take_output(std::string_view(self->input.data(), count));
                           self->read_output();
                         });
}

void AttemptProcesses::Impl::take_output(std::string_view bytes) {
  for (auto& line : lines.feed(bytes)) {
    sink.engine_log(line.text);
    last_lines.push_back(std::move(line.text));
    if (last_lines.size() > engine_last_lines) last_lines.pop_front();
  }
}

// What was written before the engine's end. Keepers may hold the pipe longer, so its end is not waited for.
void AttemptProcesses::Impl::drain_output() {
  boost::system::error_code error;
  output.non_blocking(true, error);
  for (int reads = 0; !error && reads < 256; ++reads) {
    std::array<char, 4096> bytes;
    const std::size_t count = output.read_some(asio::buffer(bytes), error);
    take_output(std::string_view(bytes.data(), count));
  }
}

void AttemptProcesses::Impl::on_message(Rank rank, KeeperMessage message) {
  if (const auto* up = std::get_if<RankUp>(&message)) {
    sink.event(RankStarted{attempt, rank, up->pid});
  } else if (auto* pulse = std::get_if<Pulse>(&message)) {
    sink.event(RankPulse{attempt, rank, std::move(*pulse)});
  } else if (const auto* line = std::get_if<ReportLine>(&message)) {
    auto report = decode_report(line->line);
    if (report)
      sink.event(RankReported{attempt, rank, std::move(*report)});
    else
      sink.log(rank, {"ftlaunch: a report was not understood: " + report.error().what}, 0);
  } else if (const auto* batch = std::get_if<LogBatch>(&message)) {
    sink.log(rank, batch->lines, batch->dropped);
  } else if (const auto* ring = std::get_if<RingFile>(&message)) {
    sink.ring(rank, ring->bytes);
  } else if (auto* evidence = std::get_if<ExitEvidence>(&message)) {
    if (!confirmed.insert(rank).second) return;
    sink.event(RankExited{attempt, rank, std::move(*evidence)});
  }
}

void AttemptProcesses::Impl::on_closed(Rank rank, const std::string& why) {
  // With the evidence delivered, or nothing expected any more, the end of a keeper is no loss.
  if (ending || confirmed.contains(rank)) return;
  if (lives(rank))
    absent[rank].why = why;
  else
    sink.event(KeeperLost{attempt, rank, why});
}

bool AttemptProcesses::Impl::lives(Rank keeper_of) const {
  const auto keeper = keepers.find(keeper_of);
  return keeper != keepers.end() && alive(keeper->second.pid, keeper->second.start_ticks);
}

void AttemptProcesses::Impl::on_hello(const Hello& hello) {
  keeper_heard = true;
  if (const auto stat = process_stat(hello.keeper_pid)) keepers[hello.rank] = {hello.keeper_pid, stat->start_ticks};
  if (const auto away = absent.extract(hello.rank)) sink.event(KeeperLost{attempt, hello.rank, away.mapped().why});
  sink.event(KeeperConnected{attempt, hello.rank, hello.node, hello.keeper_pid, hello.came_back});
  if (ending) server->send(hello.rank, KeeperOrder::dismiss);  // too late: it missed the order to all
}

// A keeper that lives and has lost only its connection says so itself, when it has come back.
void AttemptProcesses::Impl::give_up_absent(TimePoint now) {
  for (auto at = absent.begin(); at != absent.end();) {
    const auto [rank, away] = *at;
    if (!away.since) at->second.since = now;
    const bool given_up = !lives(rank) || (away.since && now - *away.since >= keeper_comes_back_within);
    at = given_up ? absent.erase(at) : std::next(at);
    if (given_up && !ending && !confirmed.contains(rank)) sink.event(KeeperLost{attempt, rank, away.why});
  }
}

void AttemptProcesses::Impl::look_for_engine() {
  if (engine_ended) return;
  int status = 0;
  const pid_t reaped = ::waitpid(engine.pid, &status, WNOHANG);
  if (reaped == 0 || (reaped < 0 && errno == EINTR)) return;
  engine_ended = true;
  drain_output();
  EngineExited exited{attempt, {}, {last_lines.begin(), last_lines.end()}};
  if (reaped > 0) {
    exited.status.signalled = WIFSIGNALED(status);
    exited.status.code = WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status);
    exited.status.core_dumped = WIFSIGNALED(status) && WCOREDUMP(status);
  }
  // Engine `local` is the keeper itself: once it has been heard, its end is the loss of a keeper.
  const bool was_keeper = request.kind == EngineKind::local && keeper_heard;
  if (was_keeper && exited.status.signalled) {
    on_closed(Rank{0}, "its process was ended by signal " + std::to_string(exited.status.code));
  } else {
    sink.event(std::move(exited));
  }
}

// A stopped mpirun forwards nothing and lets no rank go, and its ranks cannot be told from ones that wait. It is ended,
// so that it counts as what it is: lost.
void AttemptProcesses::Impl::end_stopped_engine(TimePoint now) {
  if (engine_ended || request.kind == EngineKind::local) return;
  const std::optional<ProcessStat> stat = process_stat(engine.pid);
  if (!stat || stat->state != ProcessState::stopped) return engine_stopped_since.reset();
  if (!engine_stopped_since) engine_stopped_since = now;
  if (now - *engine_stopped_since < engine_stopped_at_most) return;
  engine_stopped_since.reset();
  take_output("ftlaunch: the engine was stopped (state T of /proc) for two seconds, so it is ended\n");
  ::kill(engine.pid, SIGKILL);  // not reaped yet, so the pid is still ours
}

void AttemptProcesses::Impl::hurry_engine(TimePoint now) {
  if (engine_ended || !alone_since) return;
  if (now - *alone_since >= engine_killed_after) {
    ::kill(engine.pid, SIGKILL);  // not reaped yet, so the pid is still ours
  } else if (!asked && now - *alone_since >= engine_asked_after) {
    asked = true;
    ::kill(engine.pid, SIGTERM);
  }
}

Result<std::unique_ptr<AttemptProcesses>> AttemptProcesses::start(asio::io_context& io, EngineRequest request,
                                                                  Attempt attempt, std::string listen_address,
                                                                  AttemptSink sink) {
  const auto impl = std::make_shared<Impl>(io, std::move(request), attempt, std::move(sink));
  impl->request.secret = to_hex(random_bytes(32));
  const std::weak_ptr<Impl> weak = impl;
  ControlSink control;
  control.connected = [weak](const Hello& hello) {
    if (const auto self = weak.lock()) self->on_hello(hello);
  };
  control.message = [weak](Rank rank, KeeperMessage message) {
    if (const auto self = weak.lock()) self->on_message(rank, std::move(message));
  };
  control.closed = [weak](Rank rank, const std::string& why) {
    if (const auto self = weak.lock()) self->on_closed(rank, why);
  };
  auto server = ControlServer::listen(
      io, {std::move(listen_address), impl->request.secret, attempt, impl->request.world}, control);
  if (!server) return server.error();
  impl->server = std::move(*server);
  impl->request.control_address = impl->server->address();

  const EngineCommand command = engine_command(impl->request);
  for (const std::string& note : command.notes) impl->sink.engine_log("ftlaunch: " + note);
  auto engine = start_engine(impl->request.kind, command);
  if (!engine) return engine.error();
  impl->engine = std::move(*engine);
  boost::system::error_code error;
  impl->output.assign(::dup(impl->engine.output.get()), error);
  if (!error) impl->read_output();
  return std::unique_ptr<AttemptProcesses>(new AttemptProcesses(impl));
}

AttemptProcesses::~AttemptProcesses() {
  boost::system::error_code ignored;
  impl_->output.close(ignored);
  impl_->server.reset();
  kill_marked(impl_->request.marker);
  if (impl_->engine_ended) return;
  // A handle on a process can be read when the process has ended.
  const Descriptor handle(static_cast<int>(::syscall(SYS_pidfd_open, impl_->engine.pid, 0u)));
  pollfd ended{handle.get(), POLLIN, 0};
  ::poll(&ended, 1, engine_reaped_within_ms);
  ::waitpid(impl_->engine.pid, nullptr, WNOHANG);
}

pid_t AttemptProcesses::engine_pid() const { return impl_->engine.pid; }
void AttemptProcesses::stop_ranks() { impl_->server->send_all(KeeperOrder::stop); }
void AttemptProcesses::kill_ranks() { impl_->server->send_all(KeeperOrder::kill); }

void AttemptProcesses::dismiss() {
  impl_->ending = true;
  impl_->server->send_all(KeeperOrder::dismiss);
}

void AttemptProcesses::destroy() {
  impl_->ending = true;
  kill_marked(impl_->request.marker);
}

std::vector<ProcessStat> AttemptProcesses::survivors() const {
  std::vector<ProcessStat> found;
  for (const pid_t pid : processes_marked(impl_->request.marker)) {
    if (const auto stat = process_stat(pid)) found.push_back(*stat);
  }
  return found;
}

void AttemptProcesses::look(TimePoint now) {
  const auto self = impl_;
  self->end_stopped_engine(now);
  self->give_up_absent(now);
  self->look_for_engine();
  reap_orphans(self->engine_ended ? 0 : self->engine.pid);
  if (!self->ending || self->gone) return;
  if (self->server->connected() == 0 && !self->alone_since) self->alone_since = now;
  self->hurry_engine(now);
  if (!self->engine_ended || self->server->connected() > 0) return;
  if (!processes_marked(self->request.marker).empty()) {
    kill_marked(self->request.marker, 1);  // nobody is left who would end them
    return;
  }
  self->gone = true;
  self->sink.event(AttemptGone{self->attempt});
}

}  // namespace ftl
