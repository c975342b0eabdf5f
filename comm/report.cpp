#include "comm/report.h"

#include <unistd.h>

#include <cerrno>
#include <limits>

#include "comm/json_fields.h"

namespace ftl {

namespace {

using nlohmann::json;

constexpr std::size_t line_limit = 64 * 1024;
constexpr std::size_t text_limit = 3 * 1024;  // per string when written: three of them, escaped sixfold, fit a line
constexpr std::int64_t most = std::numeric_limits<std::int64_t>::max();
constexpr std::int32_t most_pid = std::numeric_limits<std::int32_t>::max();

json fields_of(const ReportStarted& r) {
  return {{"report", "started"},
          {"pid", r.pid},
          {"platform", shortened(r.platform, text_limit)},
          {"backend", shortened(r.backend, text_limit)},
          {"steps", r.steps},
          {"resumed_step", r.resumed_step},
          {"trainable", r.trainable},
          {"total", r.total}};
}
json fields_of(const ReportStep& r) {
  return {{"report", "step"},
          {"step", r.step},
          {"loss", json_number(r.loss)},
          {"grad_norm", json_number(r.grad_norm)},
          {"learning_rate", json_number(r.learning_rate)},
          {"tokens", r.tokens},
          {"seconds", json_number(r.seconds)},
          {"own_seconds", json_number(r.own_seconds)},
          {"own_tokens", r.own_tokens}};
}
json fields_of(const ReportEvaluation& r) {
  return {{"report", "evaluation"},
          {"step", r.step},
          {"eval_loss", json_number(r.eval_loss)},
          {"tokens", r.tokens},
          {"seconds", json_number(r.seconds)}};
}
json fields_of(const ReportCheckpoint& r) {
  return {{"report", "checkpoint"},
          {"step", r.step},
          {"directory", shortened(r.directory, text_limit)},
          {"seconds", json_number(r.seconds)}};
}
json fields_of(const ReportFaultFired& r) {
  return {{"report", "fault_fired"}, {"spec", shortened(r.spec, text_limit)}, {"step", r.step}};
}
json fields_of(const ReportFailure& r) {
  return {{"report", "failure"},
          {"kind", info(r.failure.kind).name},
          {"what", shortened(r.failure.what, text_limit)},
          {"where", shortened(r.failure.where, text_limit)},
          {"fix", shortened(r.failure.fix, text_limit)},
          {"step", r.step}};
}
json fields_of(const ReportFinished& r) { return {{"report", "finished"}, {"step", r.step}, {"stopped", r.stopped}}; }

RankReport read_started(JsonFields& in) {
  ReportStarted r;
  r.pid = in.integer_as<std::int32_t>("pid", 0, most_pid);
  r.platform = in.text("platform", line_limit);
  r.backend = in.text("backend", line_limit);
  r.steps = in.integer("steps", 0, most);
  r.resumed_step = in.integer("resumed_step", 0, most);
  r.trainable = in.integer("trainable", 0, most);
  r.total = in.integer("total", 0, most);
  return r;
}
RankReport read_step(JsonFields& in) {
  ReportStep r;
  r.step = in.integer("step", 0, most);
  r.loss = in.number("loss");
  r.grad_norm = in.number("grad_norm");
  r.learning_rate = in.number("learning_rate");
  r.tokens = in.integer("tokens", 0, most);
  r.seconds = in.number("seconds");
  r.own_seconds = in.number("own_seconds");
  r.own_tokens = in.integer("own_tokens", 0, most);
  return r;
}
RankReport read_failure(JsonFields& in) {
  ReportFailure r{{FaultKind::internal_error, in.text("what", line_limit), in.text("where", line_limit),
                   in.text("fix", line_limit)},
                  in.integer("step", 0, most)};
  const std::string kind = in.text("kind", 64);
  if (const std::optional<FaultKind> known = fault_kind_named(kind)) {
    r.failure.kind = *known;
  } else {
    in.refuse("`kind` is " + kind + ", which is no fault kind");
  }
  return r;
}

RankReport read_fields(JsonFields& in, const std::string& type) {
  if (type == "started") return read_started(in);
  if (type == "step") return read_step(in);
  if (type == "evaluation") {
    return ReportEvaluation{in.integer("step", 0, most), in.number("eval_loss"), in.integer("tokens", 0, most),
                            in.number("seconds")};
  }
  if (type == "checkpoint")
    return ReportCheckpoint{in.integer("step", 0, most), in.text("directory", line_limit), in.number("seconds")};
  if (type == "fault_fired") return ReportFaultFired{in.text("spec", line_limit), in.integer("step", 0, most)};
  if (type == "failure") return read_failure(in);
  if (type == "finished") return ReportFinished{in.integer("step", 0, most), in.boolean("stopped")};
  in.refuse("`report` is " + shortened(type, 40) + ", which is no kind of report");
  return ReportFinished{};
}

}  // namespace

std::string encode(const RankReport& report) {
  return one_line(std::visit([](const auto& r) { return fields_of(r); }, report)) + "\n";
}

bool write_all(int pipe, std::string_view text) {
  while (!text.empty()) {
    const ssize_t wrote = ::write(pipe, text.data(), text.size());
    if (wrote < 0 && errno != EINTR) return false;
    if (wrote > 0) text.remove_prefix(static_cast<std::size_t>(wrote));
  }
  return true;
}

Result<RankReport> decode_report(std::string_view line) {
  const json object = JsonFields::parse(line, line_limit);
  JsonFields in(object, "a rank's report");
  RankReport report = read_fields(in, in.text("report", 64));
  if (in.problem()) return Failure{FaultKind::internal_error, *in.problem(), "", ""};
  return report;
}

}  // namespace ftl
