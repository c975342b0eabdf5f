#include "launcher/engines/engine.h"

#include <cassert>
#include <csignal>

#include "comm/process_spec.h"
#include "launcher/engines/process_table.h"

namespace ftl {
namespace {

std::vector<std::string> environment_of_ranks(const EngineRequest& request) {
  std::vector<std::string> set = {std::string(secret_variable) + "=" + request.secret, request.marker};
  set.insert(set.end(), request.environment.begin(), request.environment.end());
  return set;
}

std::vector<std::string> keeper_command(const EngineRequest& request) {
  std::vector<std::string> argv = {request.keeper, "--control", request.control_address, "--spec", request.spec_path};
  if (request.kind == EngineKind::local) argv.insert(argv.end(), {"--rank", "0"});
  argv.push_back("--");
  argv.insert(argv.end(), request.rank_command.begin(), request.rank_command.end());
  return argv;
}

EngineCommand mpirun_command(const EngineRequest& request) {
  EngineCommand command;
  auto& argv = command.argv;
  argv = {request.mpirun, "-np", std::to_string(request.world.value)};
  if (request.root) {
    argv.push_back("--allow-run-as-root");
    command.notes.push_back("ftlaunch runs as root, so mpirun is given --allow-run-as-root");
  }
  argv.insert(argv.end(), {"--oversubscribe", "--bind-to", "none"});
  if (!request.hostfile.empty()) {
    argv.insert(argv.end(), {"--hostfile", request.hostfile});
  } else {
    // On one machine shared memory is the transport; probing networks only costs start time. Ranks may outnumber the
    // cores, so waiting gives the core away; copies go through shared memory because containers forbid reading another
    // process.
    for (const auto& [name, value] : {std::pair{"pml", "ob1"},
                                      {"btl", "self,vader"},
                                      {"btl_vader_single_copy_mechanism", "none"},
                                      {"mpi_yield_when_idle", "1"}}) {
      argv.insert(argv.end(), {"--mca", name, value});
    }
    // Files of a killed job stay where the attempt's directory is removed anyway.
    if (!request.scratch_directory.empty()) {
      argv.insert(argv.end(), {"--mca", "btl_vader_backing_directory", request.scratch_directory});
    }
  }
  const auto set = environment_of_ranks(request);
  for (const std::string& entry : set) argv.insert(argv.end(), {"-x", entry.substr(0, entry.find('='))});
  const auto keeper = keeper_command(request);
  argv.insert(argv.end(), keeper.begin(), keeper.end());
  command.environment = environment_with(set, {});
  return command;
}

}  // namespace

std::string_view name_of(EngineKind kind) { return kind == EngineKind::local ? "local" : "mpirun"; }

EngineCommand engine_command(const EngineRequest& request) {
  if (request.kind == EngineKind::mpirun) return mpirun_command(request);
  assert(request.world.value == 1);
  return {keeper_command(request), environment_with(environment_of_ranks(request), {}), {}};
}

Result<StartedEngine> start_engine(EngineKind kind, const EngineCommand& command) {
  auto output = make_pipe();
  if (!output) return output.error();
  ChildRequest request;
  request.argv = command.argv;
  request.environment = command.environment;
  request.standard_output = output->write.get();
  request.standard_error = output->write.get();
  request.new_session = true;  // a Ctrl-C at the terminal is the launcher's to handle
  // A keeper ends its rank in order when it is asked; mpirun has nothing to say after the launcher's death.
  request.death_signal = kind == EngineKind::local ? SIGTERM : SIGKILL;
  const auto pid = start_child(request);
  if (!pid) return pid.error();
  const auto stat = process_stat(*pid);
  return StartedEngine{*pid, stat ? stat->start_ticks : 0, std::move(output->read)};
}

}  // namespace ftl
