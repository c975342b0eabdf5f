// Everything that lives because of one attempt: the engine, the keepers and their ranks. Turns what happens to them
// into the supervisor's events and carries out its orders. It knows no policy: when to stop, kill or start again is
// decided elsewhere.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "launcher/engines/engine.h"
#include "launcher/engines/process_table.h"
#include "launcher/supervisor.h"

namespace boost::asio {
class io_context;
}

namespace ftl {

struct AttemptSink {
  std::function<void(Event)> event;
  std::function<void(Rank, const std::vector<std::string>& lines, std::int64_t dropped)> log;
  std::function<void(const std::string& line)> engine_log;
  std::function<void(Rank, const std::string& bytes)> ring;  // the flight recorder of a dead rank
};

class AttemptProcesses {
 public:
  // Listens, then starts the engine. request: control_address and secret are filled in here. The sink is called from
  // within io_context::run() only. Failure launch_failed.
  static Result<std::unique_ptr<AttemptProcesses>> start(boost::asio::io_context& io, EngineRequest request,
                                                         Attempt attempt, std::string listen_address, AttemptSink sink);
  // Kills what is left on this machine; waits a second at most for the engine's end.
  ~AttemptProcesses();

  pid_t engine_pid() const;
  void stop_ranks();
  void kill_ranks();
  // Every keeper may exit. From now on a closed connection is no loss, and AttemptGone comes once everything has ended.
  void dismiss();
  // SIGKILL to everything on this machine that carries the attempt's marker. AttemptGone comes as after dismiss().
  void destroy();
  // Of this machine: what carries the attempt's marker and lives.
  std::vector<ProcessStat> survivors() const;
  // Looks for ended children, orphans of the attempt among them, and, after dismiss() or destroy(), for the end of the
  // attempt. Call on SIGCHLD and on every tick.
  void look(TimePoint now);

 private:
  struct Impl;
  explicit AttemptProcesses(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}
  std::shared_ptr<Impl> impl_;
};

}  // namespace ftl
