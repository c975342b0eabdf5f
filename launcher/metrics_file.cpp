#include "launcher/metrics_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "launcher/engines/child_process.h"
#include "launcher/run_files.h"

namespace ftl {
namespace {

using nlohmann::json;

constexpr std::size_t written_at_once = std::size_t{1} << 20;

// JSON has no NaN: what is not a number is null.
json finite(double value) { return std::isfinite(value) ? json(value) : json(); }

std::string line_of(const MetricsRecord& record) {
  json line = {{"step", record.step}, {"tokens", record.tokens}};
  if (record.evaluation) {
    line["eval_loss"] = finite(record.loss);
  } else {
    line["loss"] = finite(record.loss);
    line["grad_norm"] = finite(record.grad_norm);
    line["learning_rate"] = finite(record.learning_rate);
    line["tokens_per_second"] = finite(record.seconds > 0 ? static_cast<double>(record.tokens) / record.seconds : 0);
  }
  return line.dump() + "\n";
}

// Only what tells lines apart. nullopt: no line of ours.
std::optional<MetricsRecord> named_by(std::string_view line) {
  const json object = json::parse(line, nullptr, false);
  if (!object.is_object()) return std::nullopt;
  const auto step = object.find("step");
  if (step == object.end() || !step->is_number_integer()) return std::nullopt;
  MetricsRecord record;
  record.step = step->get<std::int64_t>();
  record.evaluation = object.contains("eval_loss");
  return record;
}

}  // namespace

bool MetricsFile::Newest::takes(const MetricsRecord& record) {
  std::int64_t& newest = record.evaluation ? evaluation : step;
  if (record.step <= newest) return false;
  newest = record.step;
  return true;
}

MetricsFile::MetricsFile(std::string path) : path_(std::move(path)) {
  cut_torn_line(path_);
  scan();
}

void MetricsFile::scan() {
  newest_ = {};
  clean_ = true;
  for_each_line(path_, [&](std::string_view line) {
    const auto record = named_by(line);
    if (!record || !newest_.takes(*record)) clean_ = false;
  });
}

Result<Done> MetricsFile::append(const MetricsRecord& record) {
  Newest with_it = newest_;
  if (!with_it.takes(record)) return Done{};
  refused_.push_back(record);
  newest_ = with_it;
  return flush();
}

// All of them or none, so lines stay in order.
Result<Done> MetricsFile::flush() {
  if (refused_.empty()) return Done{};
  std::string lines;
  for (const MetricsRecord& record : refused_) lines += line_of(record);
  const Result<Done> written = append_text(path_, lines);
  if (written) refused_.clear();
  return written;
}

Result<Done> MetricsFile::drop_beyond(std::int64_t step) {
  const std::string temporary = path_ + ".tmp-" + std::to_string(::getpid());
  const Descriptor file(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
  if (!file) return storage_failure(temporary, errno);
  Newest newest;
  std::string kept;
  Result<Done> written = Done{};
  const auto flush = [&] {
    if (written) written = write_all(file.get(), kept, temporary);
    kept.clear();
  };
  for_each_line(path_, [&](std::string_view line) {
    const auto record = named_by(line);
    if (!record || record->step > step || !newest.takes(*record)) return;
    kept.append(line).append("\n");
    if (kept.size() >= written_at_once) flush();
  });
  flush();
  if (written && ::fsync(file.get()) != 0) written = storage_failure(temporary, errno);
  if (written && ::rename(temporary.c_str(), path_.c_str()) != 0) written = storage_failure(path_, errno);
  if (!written) {
    ::unlink(temporary.c_str());
    return written;
  }
  newest_ = newest;
  clean_ = true;
  return Done{};
}

Result<std::string> MetricsFile::restore(std::int64_t step, std::span<const MetricsRecord> recent) {
  std::vector<MetricsRecord> known = std::exchange(refused_, {});
  if (!known.empty()) scan();
  if (!clean_ || newest_.step > step || newest_.evaluation > step) {
    if (const auto dropped = drop_beyond(step); !dropped) return dropped.error();
  }
  std::int64_t first_lost = 0, last_lost = 0;
  const auto lost_until = [&](std::int64_t next) {
    if (newest_.step + 1 >= next) return;
    if (first_lost == 0) first_lost = newest_.step + 1;
    last_lost = next - 1;
  };
  known.insert(known.end(), recent.begin(), recent.end());
  for (const MetricsRecord& record : known) {
    if (record.step > step) continue;
    if (!record.evaluation) lost_until(record.step);
    (void)append(record);  // what is refused is kept, and tried again below
  }
  if (const auto written = flush(); !written) return written.error();
  lost_until(step + 1);
  if (first_lost == 0) return std::string();
  return "metrics.jsonl lacks the lines of steps " + std::to_string(first_lost) + " to " + std::to_string(last_lost) +
         ": they were lost with an earlier launcher";
}

}  // namespace ftl
