#include "launcher/verbs/run_options.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <thread>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "launcher/run_directory_state.h"
#include "launcher/verbs/isolation.h"
#include "trainer/run_inputs.h"

namespace ftl {
namespace {

namespace fs = std::filesystem;

bool on_path(const std::string& program) {
  const char* path = std::getenv("PATH");
  if (path == nullptr) return false;
  std::string_view rest = path;
  while (!rest.empty()) {
    const auto colon = rest.find(':');
    const fs::path candidate = fs::path(rest.substr(0, colon)) / program;
    std::error_code error;
    if (fs::is_regular_file(candidate, error)) return true;
    if (colon == std::string_view::npos) break;
    rest.remove_prefix(colon + 1);
  }
  return false;
}

std::int64_t memory_available() {
  std::ifstream file("/proc/meminfo");
  for (std::string line; std::getline(file, line);) {
    constexpr std::string_view key = "MemAvailable:";
    if (line.starts_with(key)) return std::strtoll(line.c_str() + key.size(), nullptr, 10) * 1024;
  }
  return 0;
}

// Where node-local state goes: FTL_STATE_DIR, else shared memory.
std::string state_base() {
  const char* chosen = std::getenv("FTL_STATE_DIR");
  return chosen != nullptr && *chosen != '\0' ? chosen : "/dev/shm";
}

// Free bytes where `path` is or will be; 0 when not known.
std::int64_t free_bytes(fs::path path) {
  std::error_code error;
  path = fs::absolute(path, error);
  while (!path.empty() && !fs::exists(path, error) && path.has_relative_path()) path = path.parent_path();
  const fs::space_info space = fs::space(path, error);
  return error ? 0 : static_cast<std::int64_t>(space.available);
}

}  // namespace

void add_run_options(CLI::App& app, RunOptions& options) {
  app.add_option("--config", options.config_path, "the run's configuration (YAML)")->required();
  app.add_option("--nodes", options.nodes, "nodes; without hostfile or Slurm they are logical nodes of this machine");
  app.add_option("--ranks-per-node", options.ranks_per_node, "ranks on each node (default: visible GPUs, else 1)");
  app.add_option("--backend", options.backend, "auto | fake | mpi | nccl");
  app.add_option("--device", options.device, "auto | cpu | cuda");
  app.add_option("--engine", options.engine, "auto | local | mpirun | srun");
  app.add_option("--hostfile", options.hostfile, "hosts to run on");
  app.add_flag("--dry-run", options.dry_run, "placement, memory and collectives of all ranks; nothing is started");
  app.add_option("--resume", options.resume, "auto | never | force | STEP | PATH");
  app.add_option("--output-dir", options.output_dir, "run directory");
  app.add_option("--set", options.set, "override a configuration key: key.sub=value")->take_all()->expected(1);
  app.add_flag("--apply-fix", options.apply_fix, "apply a verdict's fix that is expressed as --set");
  app.add_option("--inject", options.inject,
                 "plant a fault: fault=sigkill,rank=1,step=5[,phase=P][,attempt=A][,times=1]")
      ->take_all()
      ->expected(1);
  app.add_flag("--json", options.json, "machine-readable output");
  app.add_flag("--quiet", options.quiet, "only errors and verdicts");
}

ConfigOrCode read_run_options(const RunOptions& options) {
  if (!options.hostfile.empty()) {
    return {std::nullopt, refuse(Failure{FaultKind::not_in_this_version, "--hostfile is not in this version",
                                         "command line", "leave it out: nodes are logical nodes of this machine"})};
  }
  ConfigSource source{options.config_path, options.set};
  const auto override_with = [&](const char* key, const std::string& value) {
    if (!value.empty()) source.overrides.push_back(std::string(key) + "=" + value);
  };
  override_with("nodes", options.nodes);
  override_with("ranks_per_node", options.ranks_per_node);
  override_with("backend", options.backend);
  override_with("device", options.device);
  override_with("engine", options.engine);
  override_with("resume_from_checkpoint", options.resume);
  override_with("output_dir", options.output_dir);
  std::vector<Failure> failures;
  Result<ReadConfig> read = read_config(source, &failures);
  if (!read) return {std::nullopt, refuse(failures.empty() ? std::vector<Failure>{read.error()} : failures)};
  return {std::move(*read), 0};
}

Result<std::vector<FaultSpec>> planted_faults(const RunOptions& options, const Placement& placement) {
  std::vector<FaultSpec> faults;
  for (const std::string& text : options.inject) {
    Result<FaultSpec> fault = parse_fault(text);
    if (!fault) return fault.error();
    if (fault->rank.value >= placement.world) {
      return Failure{
          FaultKind::usage_error,
          fmt::format("--inject names rank {}, but the world has {} ranks", fault->rank.value, placement.world),
          "--inject " + text, fmt::format("use a rank from 0 to {}", placement.world - 1)};
    }
    faults.push_back(std::move(*fault));
  }
  return faults;
}

std::string binary_directory() {
  std::error_code error;
  return fs::read_symlink("/proc/self/exe", error).parent_path().string();
}

int cores_of_machine() { return static_cast<int>(std::max(1U, std::thread::hardware_concurrency())); }

MachineFacts look_at_machine(const RunConfig& config) {
  MachineFacts machine;
  std::error_code error;
  if (!fs::is_directory(config.model_name_or_path, error)) machine.missing_files.push_back(config.model_name_or_path);
  if (!config.tokenizer_name_or_path.empty() && !fs::exists(config.tokenizer_name_or_path, error)) {
    machine.missing_files.push_back(config.tokenizer_name_or_path);
  }
  for (const DatasetConfig& dataset : config.datasets) {
    if (!fs::is_regular_file(dataset.path, error)) machine.missing_files.push_back(dataset.path);
  }
  machine.mpirun_found = on_path("mpirun");
  machine.mpi_backend_found = fs::exists(fs::path(binary_directory()).parent_path() / "lib" / "libftl_mpi.so", error);
  machine.cores = cores_of_machine();
  machine.memory_available = memory_available();
  machine.state_directory = state_base();
  machine.state_free = free_bytes(machine.state_directory);
  machine.output_free = free_bytes(config.output_dir);
  return machine;
}

PreflightOutcome run_preflight(const RunConfig& config) {
  PreflightOutcome outcome;
  const MachineFacts machine = look_at_machine(config);
  outcome.placement = place(config, machine.cores);
  outcome.found.failures = judge_configuration(config, machine);
  if (!outcome.found.failures.empty()) {
    outcome.exit_code = exit_code(outcome.found.failures);
    return outcome;
  }
  Result<std::string> text = text_from_child("the survey of model and data", [&] {
    PosixFiles files;
    Result<std::unique_ptr<Device>> device = make_cpu_device();
    Survey survey;
    if (device) {
      survey = survey_run(files, **device, config, machine.cores);
    } else {
      survey.failures.push_back(device.error());
    }
    return to_json(survey);
  });
  Result<Survey> survey = text ? survey_from_json(*text) : Result<Survey>(text.error());
  if (!survey) {
    outcome.found.failures.push_back(survey.error());
    outcome.exit_code = exit_code(survey.error().kind);
    return outcome;
  }
  outcome.survey = std::move(*survey);
  outcome.found = judge_fit(config, outcome.placement, outcome.survey, machine);
  outcome.exit_code = exit_code(outcome.found.failures);
  return outcome;
}

}  // namespace ftl
