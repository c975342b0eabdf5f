#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <set>

#include <fmt/format.h>
#include <unistd.h>
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "checkpoints/files.h"
#include "checkpoints/safetensors.h"
#include "checkpoints/training_state.h"
#include "launcher/last_verdict.h"
#include "launcher/progress.h"
#include "launcher/resume_choice.h"
#include "launcher/run_directory.h"
#include "launcher/run_directory_state.h"
#include "launcher/run_record.h"
#include "launcher/running_again.h"
#include "launcher/shell.h"
#include "launcher/verbs/command_line.h"
#include "launcher/verbs/dry_run.h"
#include "launcher/verbs/run_options.h"
#include "launcher/verbs/verb.h"
#include "trainer/run_inputs.h"

namespace ftl {
namespace {

namespace fs = std::filesystem;

std::string environment_or_empty(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

// What is wrong with what a finished run has made, as far as its form shows; empty when nothing is.
std::string lost_result(const std::string& directory, const RunConfig& config) {
  PosixFiles files;
  const bool full = config.adapter == "none";
  const std::string weights = full ? "model/model.safetensors" : "adapter/adapter_model.safetensors",
                    described = full ? "model/config.json" : "adapter/adapter_config.json";
  if (!files.exists(directory + "/" + described)) return described + " is gone";
  const Result<MappedFile> file = files.map(directory + "/" + weights);
  if (!file) return weights + " cannot be read";
  return parse_safetensors(file->bytes, weights) ? "" : weights + " is damaged";
}

// What the directory says about the run before; empty when it holds none.
Result<std::optional<PreviousRun>> previous_run(const RunDirectory& directory) {
  if (!holds_a_run(directory.path())) return std::optional<PreviousRun>();
  const std::optional<std::string> text = read_run(directory.path());
  const std::optional<StoredStatus> status = read_status(directory.path());
  PreviousRun previous;
  if (text) {
    Result<RunRecord> record = run_record_from_json(*text);
    if (!record) return record.error();
    previous.config = std::move(record->config);
    previous.inputs_hash = record->inputs_hash;
    previous.platform = record->platform;
    previous.injected = record->injected;
  } else {
    previous.missing = "run.json";
  }
  if (!status) previous.missing += previous.missing.empty() ? "status.json" : " and status.json";
  previous.state = std::string(name_of(status ? status->status.state : RunState::failed));
  previous.step = status ? status->status.step : 0;
  if (previous.config && previous.state == name_of(RunState::finished))
    previous.lost_result = lost_result(directory.path(), *previous.config);
  // A verdict of an earlier attempt did not end the run: it was recovered from, or overridden since.
  const std::int32_t last_attempt = status ? status->status.attempt.value : directory.next_attempt().value - 1;
  const std::optional<LastVerdict> verdict = last_verdict(directory.path());
  if (verdict && verdict->attempt == last_attempt) {
    previous.last_verdict = verdict->kind;
    previous.last_verdict_step = verdict->step;
    previous.last_verdict_retryable = verdict->retryable;
    previous.last_fix = verdict->fix;
  }
  return std::optional<PreviousRun>(std::move(previous));
}

// Moves what an earlier run left into previous/<n>/: starting over deletes nothing, and touches nothing of the user's
// that lies in the same directory (preflight refuses inputs of this run among it).
Result<Done> set_aside(const std::string& directory) {
  std::error_code error;
  std::vector<fs::path> entries;
  for (const auto& entry : fs::directory_iterator(directory, error)) {
    if (is_made_by_a_run(entry.path().filename().string())) entries.push_back(entry.path());
  }
  // The directory's own name for its run is nothing to keep by itself.
  if (std::ranges::all_of(entries, [](const fs::path& entry) { return entry.filename() == ".run_id"; })) return Done{};
  int number = 1;
  fs::path aside;
  do {
    aside = fs::path(directory) / "previous" / std::to_string(number++);
  } while (fs::exists(aside, error));
  fs::create_directories(aside, error);
  for (const fs::path& entry : entries) {
    fs::rename(entry, aside / entry.filename(), error);
    if (error)
      return Failure{FaultKind::usage_error, fmt::format("{} cannot be set aside: {}", entry.string(), error.message()),
                     directory, "use another output_dir"};
  }
  return Done{};
}

// Faults that have fired in this run are not planted again, as often as they fired.
std::vector<FaultSpec> still_to_fire(std::vector<FaultSpec> faults, const std::string& directory) {
  for (const std::string& fired : fired_faults(directory)) {
    for (FaultSpec& fault : faults) {
      if (fault.text == fired && fault.times > 0) {
        --fault.times;
        break;
      }
    }
  }
  std::erase_if(faults, [](const FaultSpec& fault) { return fault.times <= 0; });
  return faults;
}

ProcessSpec spec_of(const RunConfig& config, const PreflightOutcome& preflight, const RunDirectory& directory,
                    const std::string& state) {
  const Placement& placement = preflight.placement;
  ProcessSpec spec;
  spec.run_id = directory.run_id();
  spec.world = WorldSize{placement.world};
  spec.ranks_per_node = placement.ranks_per_node;
  spec.backend = placement.backend;
  spec.threads_per_rank = placement.threads_per_rank;
  spec.run_directory = directory.path();
  spec.state_directory = state;
  spec.run_identity = run_identity(config, preflight.survey.inputs_hash);
  spec.expected_platform = preflight.survey.platform;
  spec.micro_batch = config.per_device_train_batch_size;
  spec.config_json = to_json(config);
  return spec;
}

bool names_a_state(const std::string& resume) {
  return !resume.empty() && resume != "auto" && resume != "never" && resume != "force";
}

// --resume STEP|PATH, once it is judged to be possible: what is newer than the step the user goes back to is set aside,
// so that no later restart of this run jumps forward to it.
Result<Done> leave_behind_what_is_newer(const ProcessSpec& spec, std::int64_t step) {
  PosixFiles files;
  Result<std::vector<CatalogEntry>> catalog = list_checkpoints(files, spec.run_directory + "/checkpoints");
  if (!catalog) return catalog.error();
  std::error_code error;
  for (const CatalogEntry& entry : *catalog) {
    if (entry.checkpoint.step <= step) continue;
    const fs::path aside = fs::path(spec.run_directory) / "previous" / fmt::format("abandoned-{}", utc_now());
    fs::create_directories(aside, error);
    if (!error) fs::rename(entry.checkpoint.directory, aside / fs::path(entry.checkpoint.directory).filename(), error);
    if (error) {
      return Failure{FaultKind::usage_error,
                     fmt::format("step {} cannot be set aside to go back to step {}: {}", entry.checkpoint.step, step,
                                 error.message()),
                     entry.checkpoint.directory, "see who may write there, or use another output_dir"};
    }
  }
  for (const auto& entry : fs::directory_iterator(spec.state_directory + "/hot", error))
    fs::remove(entry.path(), error);
  return Done{};
}

// Attempts take the newest state of the run; until this command has made any, the one that the user named.
class ResumeChooser {
 public:
  ResumeChooser(ProcessSpec spec, std::optional<ResumeChoice> named, RunDirectory& directory, Progress& progress)
      : spec_(std::move(spec)), named_(std::move(named)), directory_(directory), progress_(progress) {}

  // Before anything is started. run_identity_changed when there are checkpoints, but only another run's: they are not
  // written over. platform_changed when the newest state was made by another binary or instruction set.
  Result<Done> judge_first(const NewRun& now) {
    first_ = named_ ? *named_ : choose({});
    if (first_->resume_from.empty()) {
      if (!first_->has_foreign) return Done{};
      return Failure{FaultKind::run_identity_changed,
                     "the checkpoints here belong to a run of another configuration or other data",
                     spec_.run_directory + "/checkpoints", ""};
    }
    const std::string& made_by = first_->state.platform;
    if (auto failure = judge_platform(made_by, now)) return *failure;
    if (made_by == now.platform) return Done{};
    const std::string change = fmt::format("from {} to {}", made_by, now.platform);
    progress_.always_say("the same bits are not promised any more: the platform changes " + change);
    return directory_.append_event("platform_changed", change, -1, directory_.next_attempt());
  }

  Result<std::string> operator()(const StartAttempt& attempt) {
    const ResumeChoice choice = first_ ? *std::exchange(first_, std::nullopt) : choose(attempt.pass_over);
    for (const std::string& note : choice.passed_over) progress_.always_say(note);
    for (const Failure& damage : choice.damage) record(damage, choice, attempt.attempt);
    if (!choice.resume_from.empty()) {
      progress_.say(fmt::format("resuming from step {} ({})", choice.state.step, choice.resume_from));
    } else if (!choice.passed_over.empty()) {
      progress_.always_say("no usable state is left: the run begins anew");
    }
    const Result<std::string> lost = directory_.restore_metrics(choice.state.step, choice.state.recent);
    if (!lost || !lost->empty()) progress_.always_say(lost ? *lost : describe(lost.error()));
    return choice.resume_from;
  }

 private:
  // Found by the launcher itself, before any rank could stumble over it. Once for each place.
  void record(const Failure& damage, const ResumeChoice& choice, Attempt next) {
    if (damage.kind != FaultKind::checkpoint_corrupt || !recorded_.insert(damage.where).second) return;
    Verdict verdict;
    verdict.kind = damage.kind;
    verdict.confidence = 0.95;
    verdict.step = choice.state.step;
    verdict.attempt = next.value - 1;  // it was left by an earlier one, and does not tell how the next one ends
    verdict.action = RecoveryAction::previous_checkpoint;
    verdict.evidence.push_back({"checkpoint", damage.what + " (" + damage.where + ")"});
    verdict.evidence.push_back(
        {"ftlaunch", choice.resume_from.empty()
                         ? "no other state is left: the run begins anew"
                         : fmt::format("the run goes on from step {} ({})", choice.state.step, choice.resume_from)});
    verdict.time = utc_now();
    const Result<std::string> name = directory_.write_verdict(verdict);
    if (!name) progress_.always_say(describe(name.error()));
    progress_.on_verdict(verdict);
  }

  ResumeChoice choose(const std::vector<std::string>& damaged) {
    ResumeChoice choice = newest_state(files_, spec_, damaged);
    if (named_ && choice.state.step <= named_->state.step && !is_damaged(named_->resume_from, damaged))
      choice = *named_;
    return choice;
  }

  PosixFiles files_;
  ProcessSpec spec_;
  std::optional<ResumeChoice> named_;
  std::optional<ResumeChoice> first_;  // judged before the start, not yet used
  std::set<std::string> recorded_;     // places of damage that have a verdict
  RunDirectory& directory_;
  Progress& progress_;
};

ShellOptions shell_options(const RunConfig& config, const ProcessSpec& spec, const PreflightOutcome& preflight,
                           std::vector<FaultSpec> faults, std::int64_t accepted_spike, Attempt first) {
  ShellOptions options;
  options.supervisor.world = spec.world;
  options.supervisor.watchdog = config.watchdog;
  options.supervisor.recovery = config.recovery;
  options.supervisor.micro_batch = spec.micro_batch;
  options.supervisor.faults = std::move(faults);
  options.supervisor.accepted_spike = accepted_spike;
  options.supervisor.first_attempt = first;
  options.spec = spec;
  options.engine = preflight.placement.engine == "mpirun" ? EngineKind::mpirun : EngineKind::local;
  options.keeper = binary_directory() + "/ftkeeper";
  options.rank_program = {binary_directory() + "/fttrain"};
  return options;
}

// Where rings and hot state of the run lie, from now on ours.
Result<std::string> state_directory(const RunDirectory& directory, const PreflightOutcome& preflight) {
  const std::string base = environment_or_empty("FTL_STATE_DIR");
  Result<std::string> place =
      choose_state_place(look_at_state_places(base, directory.run_id(), preflight.placement.world),
                         node_state_bytes(preflight.placement, preflight.survey));
  if (!place) return place;
  return claim_state_directory({*place, directory.run_id(), directory.path()});
}

Result<int> launch(const RunOptions& options, const ReadConfig& read, const PreflightOutcome& preflight,
                   const std::string& inputs_stamp, std::vector<FaultSpec> faults) {
  const RunConfig& config = read.config;
  std::optional<RunDirectory> directory;
  Result<RunDirectory> opened = RunDirectory::open(config.output_dir);
  if (!opened) return opened.error();
  directory.emplace(std::move(*opened));
  Result<std::optional<PreviousRun>> previous = previous_run(*directory);
  if (!previous && config.resume != "never") return previous.error();
  const NewRun now{config, preflight.survey.inputs_hash, preflight.survey.platform, options.inject};
  const StartDecision decision = previous ? decide_start(*previous, now) : StartDecision{StartMode::start_over, "", {}};
  Progress progress(
      {::isatty(STDOUT_FILENO) == 1, ::isatty(STDOUT_FILENO) == 1 && environment_or_empty("NO_COLOR").empty(),
       options.quiet, config.logging_steps},
      stdout);
  if (decision.failure) return *decision.failure;
  if (!decision.message.empty()) progress.always_say(decision.message);
  if (decision.mode == StartMode::already_finished) return 0;
  // Also where no run is: what lies there under a run's names is set aside, as preflight has promised.
  if (config.resume == "never") {
    const std::string path = directory->path();
    if (Result<Done> moved = set_aside(path); !moved) return moved.error();
    directory.reset();  // the lock is given back before it is taken for the new run
    Result<RunDirectory> reopened = RunDirectory::open(path);
    if (!reopened) return reopened.error();
    directory.emplace(std::move(*reopened));
  }
  Result<std::string> state = state_directory(*directory, preflight);
  if (!state) return state.error();

  ProcessSpec spec = spec_of(config, preflight, *directory, *state);
  spec.inputs_stamp = inputs_stamp;
  std::optional<ResumeChoice> named;
  if (names_a_state(config.resume)) {
    PosixFiles files;
    Result<ResumeChoice> choice = named_state(files, spec, config.resume);
    if (!choice) return choice.error();
    named = std::move(*choice);
  }
  ResumeChooser chooser(spec, named, *directory, progress);
  if (Result<Done> usable = chooser.judge_first(now); !usable) return usable.error();
  if (named) {
    if (Result<Done> left = leave_behind_what_is_newer(spec, named->state.step); !left) return left.error();
  }
  const RunRecord record{
      config, preflight.placement, preflight.survey.inputs_hash, preflight.survey.platform, options.inject, utc_now()};
  if (Result<Done> written = directory->write_run(to_json(record)); !written) return written.error();
  ShellCallbacks callbacks{[&chooser](const StartAttempt& attempt) { return chooser(attempt); }};
  const ShellOptions shell = shell_options(config, spec, preflight, still_to_fire(std::move(faults), directory->path()),
                                           decision.accepted_spike, directory->next_attempt());
  Result<int> code = run_shell(shell, callbacks, *directory, progress);
  if (code && *code == 0) {
    std::error_code nothing_left_to_resume;
    fs::remove_all(*state, nothing_left_to_resume);
  }
  return code;
}

// --apply-fix: the last verdict's fix as further --set options.
ConfigOrCode with_fix_applied(RunOptions& options, const RunConfig& config) {
  const std::optional<LastVerdict> verdict = last_verdict(config.output_dir);
  const std::vector<std::string> settings = verdict ? settings_in(verdict->fix) : std::vector<std::string>();
  if (settings.empty()) {
    return {std::nullopt,
            refuse(Failure{FaultKind::usage_error, "there is no verdict whose fix can be applied as --set",
                           config.output_dir, "leave --apply-fix out and mend what the verdict says by hand"})};
  }
  for (const std::string& setting : settings) {
    std::printf("applying the fix: --set %s\n", setting.c_str());
    options.set.push_back(setting);
  }
  return read_run_options(options);
}

void announce(const ReadConfig& read, const PreflightOutcome& preflight) {
  for (const std::string& note : read.notes) std::printf("note: %s\n", note.c_str());
  for (const std::string& warning : preflight.found.warnings) std::printf("warning: %s\n", warning.c_str());
  const Survey& survey = preflight.survey;
  std::puts(fmt::format(
                "{}; {} of {} parameters trainable; {} examples, {} steps; {} rank(s), backend {}, {} thread(s) each",
                survey.model, survey.trainable_parameters, survey.model_parameters, survey.train_examples, survey.steps,
                preflight.placement.world, preflight.placement.backend, preflight.placement.threads_per_rank)
                .c_str());
  std::fflush(stdout);
}

}  // namespace

int run_run(const Arguments& arguments) {
  CLI::App app("Checks, launches, watches and recovers a fine-tuning run.", "ftlaunch run");
  RunOptions options;
  add_run_options(app, options);
  if (auto code = parse(app, arguments)) return *code;
  ConfigOrCode read = read_run_options(options);
  if (read.read && options.apply_fix) read = with_fix_applied(options, read.read->config);
  if (!read.read) return read.code;
  const RunConfig& config = read.read->config;
  Result<std::vector<FaultSpec>> faults = planted_faults(options, place(config, cores_of_machine()));
  if (!faults) return refuse(faults.error());
  const bool only_shown = options.dry_run || config.backend == "fake";
  // Room that dead runs hold is not missing.
  if (!only_shown) reclaim_state(environment_or_empty("FTL_STATE_DIR"), false, run_id_in(config.output_dir));
  const std::string stamp = stamp_of_inputs(config);  // before they are read: what changes meanwhile is noticed
  const PreflightOutcome preflight = run_preflight(config);
  if (preflight.exit_code != 0) {
    refuse(preflight.found.failures);
    return preflight.exit_code;
  }
  if (only_shown) return print_dry_run(*read.read, preflight, options.json);
  if (!options.quiet) announce(*read.read, preflight);
  Result<int> code = launch(options, *read.read, preflight, stamp, std::move(*faults));
  return code ? *code : refuse(code.error());
}

}  // namespace ftl
