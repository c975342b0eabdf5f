#include "launcher/verbs/run_options.h"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <thread>

#include <fmt/format.h>
#include <unistd.h>
#include <CLI/CLI.hpp>

#include "configs/named_path.h"
#include "launcher/run_directory.h"
#include "launcher/run_directory_state.h"
#include "launcher/run_files.h"
#include "launcher/verbs/isolation.h"
#include "launcher/verbs/process_limits.h"
#include "trainer/platform.h"
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

// What is there already of `path`: itself, or the nearest directory above it.
fs::path existing_part(fs::path path) {
  std::error_code error;
  path = fs::absolute(path, error);
  while (!path.empty() && !fs::exists(path, error) && path.has_relative_path()) path = path.parent_path();
  return path;
}

// Free bytes where `path` is or will be; 0 when not known.
std::int64_t free_bytes(const fs::path& path) {
  std::error_code error;
  const fs::space_info space = fs::space(existing_part(path), error);
  return error ? 0 : static_cast<std::int64_t>(space.available);
}

// Proved, not asked: a network file system may refuse what the permissions allow. What the proof makes it takes away.
std::optional<Failure> why_not_writable(const std::string& output_dir) {
  const std::string there = existing_part(output_dir).string();
  std::error_code error;
  if (!fs::is_directory(there, error)) {
    return Failure{FaultKind::usage_error, "output_dir cannot be made: " + there + " is no directory", output_dir,
                   "choose another directory with --output-dir"};
  }
  std::string probe = there + "/.ftl-probe-XXXXXX";
  if (::mkdtemp(probe.data()) == nullptr) return storage_failure(there, errno);
  ::rmdir(probe.c_str());
  return std::nullopt;
}

// What a run would write over: its own inputs, and files of others under names that it uses itself.
std::vector<Failure> victims_of(const RunConfig& config) {
  const std::string& directory = config.output_dir;
  std::vector<std::string> inputs{config.model_name_or_path, config.tokenizer_name_or_path};
  for (const DatasetConfig& dataset : config.datasets) inputs.push_back(dataset.path);
  std::vector<Failure> found;
  std::error_code error;
  const bool begins = !holds_a_run(directory) && config.resume != "never";
  for (fs::directory_iterator entry(directory, error), end; !error && entry != end; entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    if (!is_made_by_a_run(name) || name.starts_with(".")) continue;
    std::error_code ignored;
    const fs::path whole = fs::weakly_canonical(entry->path(), ignored);
    const bool is_read = std::ranges::any_of(inputs, [&](const std::string& input) {
      const fs::path path = fs::weakly_canonical(input, ignored);
      return !input.empty() && std::mismatch(whole.begin(), whole.end(), path.begin(), path.end()).first == whole.end();
    });
    if (is_read) {
      found.push_back({FaultKind::usage_error, "the run would read it as an input and write over it as its output",
                       entry->path().string(), "use another output_dir"});
    } else if (begins && !fs::is_empty(entry->path(), ignored)) {
      found.push_back({FaultKind::usage_error,
                       "there is something under a name that a run writes, and no run of "
                       "ftlaunch is here that could have made it",
                       entry->path().string(),
                       "use another output_dir, move it away, or have it set aside by --resume never"});
    }
  }
  return found;
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
  // A path may look like anything.
  const auto override_with_text = [&](const char* key, const std::string& value) {
    if (!value.empty()) source.texts.emplace_back(key, value);
  };
  override_with_text("backend", options.backend);
  override_with_text("device", options.device);
  override_with_text("engine", options.engine);
  override_with_text("resume_from_checkpoint", options.resume);
  override_with_text("output_dir", options.output_dir);
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
  const auto note = [&machine](std::optional<Failure> failure) {
    if (failure) machine.paths.push_back(std::move(*failure));
  };
  note(why_not_a_directory(config.model_name_or_path));
  const std::string& tokenizer = config.tokenizer_name_or_path;
  if (!tokenizer.empty() && !fs::is_directory(tokenizer, error)) note(why_not_a_file(tokenizer));
  for (const DatasetConfig& dataset : config.datasets) note(why_not_a_file(dataset.path));
  note(why_not_writable(config.output_dir));
  for (Failure& victim : victims_of(config)) note(std::move(victim));
  machine.mpirun_found = on_path("mpirun");
  machine.mpi_backend_found = fs::exists(fs::path(binary_directory()).parent_path() / "lib" / "libftl_mpi.so", error);
  machine.cores = cores_of_machine();
  machine.memory_available = memory_available();
  const char* state_base = std::getenv("FTL_STATE_DIR");
  machine.state_places = look_at_state_places(state_base != nullptr ? state_base : "", run_id_in(config.output_dir),
                                              place(config, machine.cores).world);
  machine.output_free = free_bytes(config.output_dir);
  return machine;
}

PreflightOutcome run_preflight(const RunConfig& config) {
  PreflightOutcome outcome;
  const MachineFacts machine = look_at_machine(config);
  outcome.placement = place(config, machine.cores);
  outcome.found.failures = judge_configuration(config, machine);
  // Only simulated ranks need nothing of this machine.
  const LimitNeeds least = needs_of(config, outcome.placement, {});
  const ProcessLimits limits = process_limits(least.open_files);
  if (outcome.found.failures.empty() && config.backend != "fake") outcome.found.failures = judge_limits(limits, least);
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
      Result<std::string> platform = platform_of(files, **device, binary_directory() + "/fttrain");
      if (platform)
        survey.platform = std::move(*platform);
      else
        survey.failures.push_back(platform.error());
    } else {
      survey.failures.push_back(device.error());
    }
    return to_json(survey);
  });
  Result<Survey> survey = text ? survey_from_json(*text) : Result<Survey>(text.error());
  if (!survey) {
    outcome.found.failures.push_back(survey.error());
    outcome.exit_code = exit_code(outcome.found.failures);
    return outcome;
  }
  outcome.survey = std::move(*survey);
  outcome.found = judge_fit(config, outcome.placement, outcome.survey, machine);
  for (Failure& failure : judge_limits(limits, needs_of(config, outcome.placement, outcome.survey))) {
    if (config.backend != "fake") outcome.found.failures.push_back(std::move(failure));
  }
  outcome.exit_code = exit_code(outcome.found.failures);
  return outcome;
}

}  // namespace ftl
