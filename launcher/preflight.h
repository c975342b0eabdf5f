// What can be known before anything is launched. Two parts: what command line and configuration say by themselves (exit
// 2), and what they say together with checkpoint, data and machine (exit 3). Pure: files and processes are looked at by
// the verbs, which hand in what they saw.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "comm/survey.h"
#include "configs/run_config.h"
#include "failures/failure.h"
#include "launcher/run_directory_state.h"

namespace ftl {

// What the verbs saw of the machine.
struct MachineFacts {
  std::vector<Failure> paths;  // what is wrong with files and directories that the configuration names
  bool mpirun_found = true;
  bool mpi_backend_found = true;  // libftl_mpi.so
  int cores = 1;
  std::int64_t memory_available = 0;     // bytes; 0 = not known
  std::vector<StatePlace> state_places;  // where node-local state can go; empty = not known
  std::int64_t output_free = 0;          // bytes free where output_dir is; 0 = not known
};

// Engine and backend after `auto` is resolved.
struct Placement {
  std::string engine;   // local | mpirun
  std::string backend;  // none | mpi | fake
  int world = 1;
  int ranks_per_node = 1;
  int threads_per_rank = 1;
};

struct Preflight {
  std::vector<Failure> failures;
  std::vector<std::string> warnings;
};

Placement place(const RunConfig& config, int cores);
// Exit 2.
std::vector<Failure> judge_configuration(const RunConfig& config, const MachineFacts& machine);
// Exit 3. Includes the survey's own failures.
Preflight judge_fit(const RunConfig& config, const Placement& placement, const Survey& survey,
                    const MachineFacts& machine);

// Bytes of all ranks in node-local memory: rings, hot state, segments of the MPI library.
std::int64_t node_state_bytes(const Placement& placement, const Survey& survey);

// The exit code for a list of findings: the earliest stage that refuses.
int exit_code(const std::vector<Failure>& failures);

}  // namespace ftl
