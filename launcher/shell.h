// The edge of the launcher: one thread and one io_context around the pure Supervisor. Sockets, exits, signals and time
// become events; commands become processes and files. On its own death, even by SIGKILL, everything of the run
// vanishes: the engine by its parent-death signal, the keepers by their lost connection, the ranks with their keepers.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "comm/process_spec.h"
#include "launcher/engines/engine.h"
#include "launcher/progress.h"
#include "launcher/run_directory.h"
#include "launcher/supervisor.h"

namespace ftl {

struct ShellOptions {
  SupervisorOptions supervisor;  // world, limits, faults, first attempt
  ProcessSpec spec;              // attempt, micro_batch, faults and resume_from are filled in for every attempt
  EngineKind engine = EngineKind::local;
  std::string mpirun = "mpirun";
  std::string hostfile;
  std::string keeper;                         // path of ftkeeper
  std::vector<std::string> rank_program;      // path of fttrain, and arguments; --spec FILE and --rank K are appended
  std::vector<std::string> rank_environment;  // "NAME=value"
  std::string listen_address = "127.0.0.1";
};

struct ShellCallbacks {
  // Where an attempt starts from (ProcessSpec::resume_from), chosen when it starts: what is complete may have changed
  // since. What the command says to pass over is not chosen.
  std::function<Result<std::string>(const StartAttempt&)> choose_resume;
};

// Runs the whole run. The exit code of contract.md. SIGINT, SIGTERM, SIGQUIT and SIGHUP ask to stop while it runs;
// SIGHUP does not where the caller ignores it (nohup). Call from the main thread of a process without other children.
// Failures: what could not even be started.
Result<int> run_shell(const ShellOptions& options, const ShellCallbacks& callbacks, RunDirectory& directory,
                      Progress& progress);

}  // namespace ftl
