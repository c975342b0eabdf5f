// How the keepers of one attempt come into being. `local` starts one keeper as a child; `mpirun` lets Open MPI start
// one a rank. The command lines are pure functions of the request; start_engine() carries one out.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "comm/rank.h"
#include "failures/result.h"
#include "launcher/engines/child_process.h"

namespace ftl {

enum class EngineKind : std::uint8_t { local, mpirun };
std::string_view name_of(EngineKind kind);

struct EngineRequest {
  EngineKind kind = EngineKind::local;
  std::string mpirun = "mpirun";          // path or name
  std::string keeper;                     // path of ftkeeper
  std::vector<std::string> rank_command;  // the rank program and its arguments; the keeper appends --rank K
  std::string spec_path;
  std::string control_address;    // "127.0.0.1:40123"
  std::string secret;             // travels in the environment, never in argv
  std::string marker;             // attempt_marker(): in the environment of every process of the attempt
  std::string scratch_directory;  // of the attempt, node-local: Open MPI's session and shared-memory files
  std::string hostfile;           // empty: this machine
  WorldSize world{1};
  bool root = false;                     // Open MPI refuses root unless told
  std::vector<std::string> environment;  // "NAME=value" for the ranks, besides what every rank gets
};

struct EngineCommand {
  std::vector<std::string> argv;
  std::vector<std::string> environment;  // complete
  std::vector<std::string> notes;        // for the user: what the engine was told that is not obvious
};
// Built on the caller's environment. A world of more than one needs mpirun.
EngineCommand engine_command(const EngineRequest& request);

struct StartedEngine {
  pid_t pid = 0;
  std::uint64_t start_ticks = 0;
  Descriptor output;  // stdout and stderr, non-blocking
};
// Failure launch_failed. The engine dies with the calling thread: call from the main thread.
Result<StartedEngine> start_engine(EngineKind kind, const EngineCommand& command);

}  // namespace ftl
