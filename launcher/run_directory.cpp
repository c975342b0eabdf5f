#include "launcher/run_directory.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>

#include "launcher/control/sealed_frames.h"
#include "launcher/engines/child_process.h"
#include "launcher/engines/process_table.h"
#include "launcher/metrics_file.h"
#include "launcher/process_owner.h"
#include "launcher/run_files.h"

namespace ftl {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

constexpr std::size_t log_limit = std::size_t{64} << 20;  // bytes a rank and attempt
constexpr std::size_t json_file_limit = std::size_t{16} << 20;
// What a launcher writes into its directory; another launcher's run is there when one of them is.
constexpr const char* files_of_a_run[] = {"run.json", "status.json", "events.jsonl", "metrics.jsonl"};
struct NumberedIn {
  const char *folder, *before, *after;
};
constexpr NumberedIn traces_of_a_run[] = {
    {"/checkpoints", "step-", ""}, {"/logs", "attempt-", ""}, {"/flight", "attempt-", ""}, {"/verdicts", "", ".json"}};

std::string dumped(const json& value) { return value.dump(-1, ' ', false, json::error_handler_t::replace); }

Result<Done> append_line(const std::string& path, const json& line) { return append_text(path, dumped(line) + "\n"); }

std::optional<int> number_in(std::string_view name, std::string_view before, std::string_view after) {
  if (name.size() <= before.size() + after.size() || name.substr(0, before.size()) != before) return std::nullopt;
  if (name.substr(name.size() - after.size()) != after) return std::nullopt;
  const std::string_view digits = name.substr(before.size(), name.size() - before.size() - after.size());
  int number = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  return error == std::errc{} && end == digits.data() + digits.size() ? std::optional(number) : std::nullopt;
}

// The numbers in names of the form <before>N<after>, ascending.
std::vector<int> numbered(const std::string& directory, std::string_view before, std::string_view after) {
  std::vector<int> numbers;
  std::error_code error;
  for (fs::directory_iterator entry(directory, error), end; !error && entry != end; entry.increment(error)) {
    if (const auto number = number_in(entry->path().filename().string(), before, after)) numbers.push_back(*number);
  }
  std::sort(numbers.begin(), numbers.end());
  return numbers;
}

std::string in_words(const ProcessOwner& owner) {
  const ProcessOwner here = this_process();
  std::string words = "process " + std::to_string(owner.pid) + " on " + owner.host;
  if (owner.host != here.host) return words + " (this is " + here.host + ")";
  if (liveness_of(owner) == Liveness::out_of_sight) words += ", in another container";
  return words;
}

Result<Descriptor> take_lock(const std::string& path) {
  const std::string lock_path = path + "/.lock";
  // What lies there is written over, so it must be ours: no link to another file, and nothing that a launcher did not
  // write.
  Descriptor lock(::open(lock_path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0644));
  struct stat about {};
  if (!lock || ::fstat(lock.get(), &about) != 0) return storage_failure(lock_path, errno);
  if (!S_ISREG(about.st_mode) || (about.st_size > 0 && !owner_in(read_small_file(lock_path).value_or("")))) {
    return Failure{FaultKind::usage_error, "it is no lock of a launcher, which would be written here", lock_path,
                   "use another output_dir, or move the file away"};
  }
  // The system gives the lock back with the process, however it dies: there are no stale locks on one machine.
  if (::flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return storage_failure(lock_path, errno);
    const auto owner = owner_in(read_small_file(lock_path).value_or(""));
    const std::string who = owner ? in_words(*owner) : "another process";
    return Failure{FaultKind::run_directory_owned, "the run directory belongs to a launcher that is running: " + who,
                   path, ""};
  }
  if (::ftruncate(lock.get(), 0) != 0) return storage_failure(lock_path, errno);
  const auto written = write_all(lock.get(), dumped(to_json(this_process())) + "\n", lock_path);
  if (!written) return written.error();
  return lock;
}

std::string stored_run_id(const std::string& path) {
  const json stored = json::parse(read_small_file(path + "/.run_id").value_or(""), nullptr, false);
  if (!stored.is_object() || stored.value("path", json()) != json(path) || !stored.value("id", json()).is_string())
    return "";
  const std::string id = stored["id"].get<std::string>();
  const bool plain = id.size() == 16 && id.find_first_not_of("0123456789abcdef") == std::string::npos;
  return plain ? id : "";  // it becomes part of a path: nothing else is let through
}

// A run that begins gets a name of its own: what an emptied directory's run left in node-local memory is not its state.
Result<std::string> run_id_of(const std::string& path) {
  if (std::string id = run_id_in(path); !id.empty()) return id;
  const std::string id = to_hex(random_bytes(8));
  const auto written = replace_file(path + "/.run_id", dumped({{"id", id}, {"path", path}}) + "\n", true);
  if (!written) return written.error();
  return id;
}

}  // namespace

struct RunDirectory::Impl {
  explicit Impl(const std::string& directory) : path(directory), metrics(directory + "/metrics.jsonl") {}
  std::string path;
  MetricsFile metrics;
  std::string run_id;
  Descriptor lock;
  std::map<std::string, std::size_t> log_bytes;  // written by this launcher, by file

  std::string logs_of(Attempt attempt) const { return path + "/logs/attempt-" + std::to_string(attempt.value); }
  Result<Done> append_bounded(const std::string& file, std::string text);
  // Why nothing may be written here any more. Asked before every write: else a directory that was removed would come
  // back in pieces, and one that was replaced would hold two runs.
  std::optional<Failure> loss() const;
};

std::optional<Failure> RunDirectory::Impl::loss() const {
  struct stat held {};
  struct stat there {};
  const bool is_there = ::stat((path + "/.lock").c_str(), &there) == 0;
  if (!is_there && errno != ENOENT && errno != ENOTDIR) return std::nullopt;  // storage that stumbles is no loss
  if (::fstat(lock.get(), &held) != 0 || (is_there && held.st_dev == there.st_dev && held.st_ino == there.st_ino))
    return std::nullopt;
  return Failure{FaultKind::storage_failed,
                 "the run directory was removed, moved or replaced while the run was going on", path,
                 "leave output_dir alone until its run has ended; start the run again"};
}

RunDirectory::RunDirectory(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
RunDirectory::RunDirectory(RunDirectory&&) noexcept = default;
RunDirectory& RunDirectory::operator=(RunDirectory&&) noexcept = default;
RunDirectory::~RunDirectory() = default;

Result<RunDirectory> RunDirectory::open(const std::string& path) {
  auto made = make_directories(path);
  if (!made) return made.error();
  std::error_code error;
  const std::string canonical = fs::canonical(path, error).string();
  if (error) return storage_failure(path, error.value());
  auto lock = take_lock(canonical);
  if (!lock) return lock.error();
  auto impl = std::make_unique<Impl>(canonical);
  impl->lock = std::move(*lock);
  auto id = run_id_of(impl->path);
  if (!id) return id.error();
  impl->run_id = *id;
  for (const char* folder : {"/logs", "/flight", "/verdicts"}) {
    made = make_directories(impl->path + folder);
    if (!made) return made.error();
  }
  cut_torn_line(impl->path + "/events.jsonl");
  return RunDirectory(std::move(impl));
}

bool RunDirectory::is_still_ours() const { return !impl_->loss(); }

const std::string& RunDirectory::path() const { return impl_->path; }
const std::string& RunDirectory::run_id() const { return impl_->run_id; }

Attempt RunDirectory::next_attempt() const {
  // Any one trace will do: hot state of a later attempt than the next would fence it off.
  int last = 0;
  for (const char* folder : {"/logs", "/flight"}) {
    const auto attempts = numbered(impl_->path + folder, "attempt-", "");
    if (!attempts.empty()) last = std::max(last, attempts.back());
  }
  if (const auto status = read_status(impl_->path)) last = std::max(last, status->status.attempt.value);
  return Attempt{last + 1};
}

Result<Done> RunDirectory::write_run(const std::string& text) {
  if (auto lost = impl_->loss()) return *lost;
  return replace_file(impl_->path + "/run.json", text, true);
}

Result<Done> RunDirectory::write_status(const RunStatus& status) {
  if (auto lost = impl_->loss()) return *lost;
  StoredStatus stored{status, static_cast<std::int32_t>(::getpid()), true, verdict_files(impl_->path)};
  return replace_file(impl_->path + "/status.json", status_json(stored) + "\n", false);
}

Result<Done> RunDirectory::append_event(const std::string& name, const std::string& detail, std::int32_t rank,
                                        Attempt attempt) {
  if (auto lost = impl_->loss()) return *lost;
  json line = {{"time", utc_now()}, {"event", name}, {"attempt", attempt.value}};
  if (!detail.empty()) line["detail"] = detail;
  if (rank >= 0) line["rank"] = rank;
  return append_line(impl_->path + "/events.jsonl", line);
}

Result<Done> RunDirectory::append_step(const ReportStep& step) {
  if (auto lost = impl_->loss()) return *lost;
  return impl_->metrics.append(
      {step.step, false, step.loss, step.grad_norm, step.learning_rate, step.tokens, step.seconds});
}

Result<Done> RunDirectory::append_evaluation(const ReportEvaluation& evaluation) {
  if (auto lost = impl_->loss()) return *lost;
  return impl_->metrics.append(
      {evaluation.step, true, evaluation.eval_loss, 0, 0, evaluation.tokens, evaluation.seconds});
}

Result<Done> RunDirectory::flush_metrics() {
  if (auto lost = impl_->loss()) return *lost;
  return impl_->metrics.flush();
}

Result<std::string> RunDirectory::restore_metrics(std::int64_t step, std::span<const MetricsRecord> recent) {
  if (auto lost = impl_->loss()) return *lost;
  return impl_->metrics.restore(step, recent);
}

Result<std::string> RunDirectory::write_verdict(const Verdict& verdict) {
  if (auto lost = impl_->loss()) return *lost;
  const auto numbers = numbered(impl_->path + "/verdicts", "", ".json");
  const std::string name = "verdicts/" + std::to_string(numbers.empty() ? 1 : numbers.back() + 1) + ".json";
  Verdict dated = verdict;
  if (dated.time.empty()) dated.time = utc_now();
  const auto written = replace_file(impl_->path + "/" + name, to_json(dated) + "\n", true);
  if (!written) return written.error();
  return name;
}

Result<Done> RunDirectory::Impl::append_bounded(const std::string& file, std::string text) {
  if (auto lost = loss()) return *lost;
  std::size_t& bytes = log_bytes[file];
  if (bytes > log_limit) return Done{};
  if (bytes == 0) {
    const auto made = make_directories(fs::path(file).parent_path().string());
    if (!made) return made;
  }
  bytes += text.size() + 1;
  if (bytes > log_limit) text += "ftlaunch: this log has reached its limit of 64 MiB; nothing more is written\n";
  return append_text(file, text);
}

Result<Done> RunDirectory::append_log(Attempt attempt, Rank rank, const std::vector<std::string>& lines,
                                      std::int64_t dropped) {
  std::string text;
  for (const std::string& line : lines) text.append(line).append("\n");
  if (dropped > 0) text += "ftlaunch: " + std::to_string(dropped) + " lines were dropped here, they came too fast\n";
  return impl_->append_bounded(impl_->logs_of(attempt) + "/rank-" + std::to_string(rank.value) + ".log",
                               std::move(text));
}

Result<Done> RunDirectory::append_engine_log(Attempt attempt, const std::string& line) {
  return impl_->append_bounded(impl_->logs_of(attempt) + "/engine.log", line + "\n");
}

Result<Done> RunDirectory::write_ring(Attempt attempt, Rank rank, const std::string& bytes) {
  if (auto lost = impl_->loss()) return *lost;
  const std::string directory = impl_->path + "/flight/attempt-" + std::to_string(attempt.value);
  const auto made = make_directories(directory);
  if (!made) return made;
  return replace_file(directory + "/rank-" + std::to_string(rank.value) + ".ring", bytes, false);
}

// ---- readers
bool holds_a_run(const std::string& run_directory) {
  std::error_code error;
  for (const char* name : files_of_a_run) {
    if (fs::exists(fs::path(run_directory) / name, error)) return true;
  }
  return std::any_of(std::begin(traces_of_a_run), std::end(traces_of_a_run), [&](const NumberedIn& trace) {
    return !numbered(run_directory + trace.folder, trace.before, trace.after).empty();
  });
}

bool is_made_by_a_run(std::string_view name) {
  constexpr std::string_view others[] = {".run_id", "adapter", "model", "tb", "report.html"};
  if (std::find(std::begin(others), std::end(others), name) != std::end(others)) return true;
  if (std::find(std::begin(files_of_a_run), std::end(files_of_a_run), name) != std::end(files_of_a_run)) return true;
  return std::any_of(std::begin(traces_of_a_run), std::end(traces_of_a_run),
                     [&](const NumberedIn& trace) { return name == trace.folder + 1; });
}

std::string run_id_in(const std::string& run_directory) {
  std::error_code error;
  const std::string path = fs::canonical(run_directory, error).string();
  return error || !holds_a_run(path) ? "" : stored_run_id(path);
}

std::optional<ProcessOwner> read_owner(const std::string& run_directory) {
  const std::string path = run_directory + "/.lock";
  const Descriptor lock(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!lock) return std::nullopt;
  const auto owner = owner_in(read_small_file(path).value_or(""));
  // One that can be seen from here is looked up, without touching a lock that a launcher may be about to take.
  const Liveness liveness = owner ? liveness_of(*owner) : Liveness::out_of_sight;
  if (liveness == Liveness::alive) return owner;
  if (liveness == Liveness::dead) return std::nullopt;
  if (::flock(lock.get(), LOCK_SH | LOCK_NB) == 0) return std::nullopt;  // it was free: the owner is dead
  return owner;
}

std::optional<std::string> read_run(const std::string& run_directory) {
  return read_small_file(run_directory + "/run.json", json_file_limit);
}

std::vector<std::string> verdict_files(const std::string& run_directory) {
  std::vector<std::string> names;
  for (const int number : numbered(run_directory + "/verdicts", "", ".json")) {
    names.push_back("verdicts/" + std::to_string(number) + ".json");
  }
  return names;
}

std::vector<std::string> fired_faults(const std::string& run_directory) {
  std::vector<std::string> fired;
  for_each_line(run_directory + "/events.jsonl", [&](std::string_view line) {
    const json object = json::parse(line, nullptr, false);
    if (!object.is_object() || object.value("event", json()) != json("fault_fired")) return;
    if (const json detail = object.value("detail", json()); detail.is_string())
      fired.push_back(detail.get<std::string>());
  });
  return fired;
}

std::string utc_now() {
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  ::gmtime_r(&now, &utc);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &utc);
  return text;
}

}  // namespace ftl
