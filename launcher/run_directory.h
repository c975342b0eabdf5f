// The run directory (contract.md): written by the one launcher that owns it, read by anybody at any time. Readers trust
// nothing: a launcher may have died in the middle of any line, and people edit files.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "checkpoints/training_state.h"
#include "comm/process_spec.h"
#include "comm/report.h"
#include "launcher/process_owner.h"
#include "launcher/supervisor.h"

namespace ftl {

// What status.json says, corrected by what is known: a launcher that is dead cannot be running.
struct StoredStatus {
  RunStatus status;
  std::int32_t launcher_pid = 0;
  bool launcher_alive = false;
  std::vector<std::string> verdicts;  // "verdicts/1.json"
};

class RunDirectory {
 public:
  // Creates the directory if needed and takes the lock. A lock of a dead launcher is no lock. Repairs files whose last
  // line is torn. Failures: run_directory_owned (names pid and host, and this host if it is another), usage_error
  // (cannot be created), storage_full.
  static Result<RunDirectory> open(const std::string& path);
  RunDirectory(RunDirectory&&) noexcept;
  RunDirectory& operator=(RunDirectory&&) noexcept;
  ~RunDirectory();  // gives the lock back

  // Whether the lock that is held still lies at path(): false once somebody has removed, moved or replaced the
  // directory. Nothing may be written into it then.
  bool is_still_ours() const;
  const std::string& path() const;  // absolute
  // Names the run's node-local state; the same after a restart of the launcher, another one for a copy of the
  // directory and for a run that begins (nothing of a run was there).
  const std::string& run_id() const;
  Attempt next_attempt() const;  // one beyond the highest that left a trace here; 1 in a new directory

  Result<Done> write_run(const std::string& json);     // run.json
  Result<Done> write_status(const RunStatus& status);  // status.json, not synced: it is rewritten all the time
  Result<Done> append_event(const std::string& name, const std::string& detail, std::int32_t rank, Attempt attempt);
  // metrics.jsonl (launcher/metrics_file.h): a line that is there already is not written again.
  Result<Done> append_step(const ReportStep& step);
  Result<Done> append_evaluation(const ReportEvaluation& evaluation);
  Result<Done> flush_metrics();  // lines that a full storage refused before
  Result<std::string> restore_metrics(std::int64_t step, std::span<const MetricsRecord> recent);
  Result<std::string> write_verdict(const Verdict& verdict);  // verdicts/<n>.json; returns "verdicts/<n>.json"
  Result<Done> append_log(Attempt attempt, Rank rank, const std::vector<std::string>& lines, std::int64_t dropped);
  Result<Done> append_engine_log(Attempt attempt, const std::string& line);
  Result<Done> write_ring(Attempt attempt, Rank rank, const std::string& bytes);

 private:
  struct Impl;
  explicit RunDirectory(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// ---- readers: for status, "running again" and recovery. nullopt: there is no run here, or its file is garbage.
// Whether any file, checkpoint, log or verdict of a run is there: then a launch goes on with it, whatever is missing.
bool holds_a_run(const std::string& run_directory);
// Whether a run makes a file or directory of this name in its directory.
bool is_made_by_a_run(std::string_view name);
std::string run_id_in(const std::string& run_directory);  // of the run that is there; "" when there is none
std::optional<StoredStatus> read_status(const std::string& run_directory);
std::string status_json(const StoredStatus& stored);                       // schema ftlaunch.status/1
std::optional<ProcessOwner> read_owner(const std::string& run_directory);  // the living launcher
std::optional<std::string> read_run(const std::string& run_directory);     // run.json
std::vector<std::string> verdict_files(const std::string& run_directory);  // "verdicts/<n>.json", ascending
// Specs of planted faults that have fired in this run (events named fault_fired), as often as they did.
std::vector<std::string> fired_faults(const std::string& run_directory);
std::string utc_now();  // "2030-01-31T12:00:00Z"

}  // namespace ftl
