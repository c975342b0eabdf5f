// What a rank tells its keeper: one JSON object a line on a pipe, upward only. The launcher never answers a rank; it
// acts on it as on a process. Reports are facts for status, metrics and verdicts; liveness comes from the flight
// recorder, not from here.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

#include "comm/rank.h"
#include "failures/result.h"

namespace ftl {

struct ReportStarted {  // the rank is up and has joined the world
  std::int32_t pid = 0;
  std::string platform;           // binary and instruction set
  std::string backend;            // "Open MPI 4.1.4"
  std::int64_t steps = 0;         // of the whole run
  std::int64_t resumed_step = 0;  // 0 = fresh
  std::int64_t trainable = 0;     // parameters
  std::int64_t total = 0;
};
struct ReportStep {             // every rank, after every optimizer step
  std::int64_t step = 0;        // completed steps
  double loss = 0;              // mean over the global supervised tokens
  double grad_norm = 0;         // before clipping
  double learning_rate = 0;     // that was used
  std::int64_t tokens = 0;      // of the global batch, padding-free
  double seconds = 0;           // of this step on this rank
  double own_seconds = 0;       // of them before it entered the sum: its own work, without waiting for others
  std::int64_t own_tokens = 0;  // one after another: of sequences that were computed side by side the longest
};
struct ReportEvaluation {
  std::int64_t step = 0;
  double eval_loss = 0;
  std::int64_t tokens = 0;
  double seconds = 0;
};
struct ReportCheckpoint {
  std::int64_t step = 0;
  std::string directory;
  double seconds = 0;
};
struct ReportFaultFired {
  std::string spec;
  std::int64_t step = 0;
};  // a planted fault is about to happen
struct ReportFailure {
  Failure failure;
  std::int64_t step = 0;
};  // the rank names its own failure, then exits
struct ReportFinished {
  std::int64_t step = 0;
  bool stopped = false;
};  // stopped = on request, checkpoint written

using RankReport = std::variant<ReportStarted, ReportStep, ReportEvaluation, ReportCheckpoint, ReportFaultFired,
                                ReportFailure, ReportFinished>;

std::string encode(const RankReport& report);             // one line, no newline inside, newline at the end
bool write_all(int pipe, std::string_view text);          // false: nobody reads it any more
Result<RankReport> decode_report(std::string_view line);  // at most 64 KiB; garbage is a failure, never a crash

}  // namespace ftl
