// The options that `run`, `check` and `--dry-run` share, and how they become a configuration: options override the
// file.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "comm/process_spec.h"
#include "configs/config_reader.h"
#include "launcher/preflight.h"
#include "launcher/verbs/verb.h"

namespace CLI {
class App;
}

namespace ftl {

struct RunOptions {
  std::string config_path;
  std::vector<std::string> set;                                                    // --set key.sub=value
  std::string nodes, ranks_per_node, backend, device, engine, resume, output_dir;  // empty: not given
  std::string hostfile;
  std::vector<std::string> inject;
  bool dry_run = false;
  bool apply_fix = false;
  bool json = false;
  bool quiet = false;
};
void add_run_options(CLI::App& app, RunOptions& options);

// The configuration with all overrides; every error is printed. Empty when there was one: `code` is then the exit code.
struct ConfigOrCode {
  std::optional<ReadConfig> read;
  int code = 0;
};
ConfigOrCode read_run_options(const RunOptions& options);
Result<std::vector<FaultSpec>> planted_faults(const RunOptions& options, const Placement& placement);

// Looks at files, programs and memory of this machine.
MachineFacts look_at_machine(const RunConfig& config);

// Directory of the running binary ("<build>/bin").
std::string binary_directory();
int cores_of_machine();

// The whole preflight: configuration alone first (exit 2), then everything else (exit 3).
struct PreflightOutcome {
  Placement placement;
  Survey survey;  // empty when the configuration alone was refused
  Preflight found;
  int exit_code = 0;  // 0 = may be launched
};
PreflightOutcome run_preflight(const RunConfig& config);

}  // namespace ftl
