// What ended or disturbed a run: kind, culprits, victims and the evidence (schema ftlaunch.verdict/1, contract.md).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "failures/failure.h"

namespace ftl {

struct Culprit {
  std::int32_t rank = -1;  // -1: not a rank (an engine, the launcher's machine)
  std::string node;
  std::int32_t pid = 0;
};
struct EvidenceFact {
  std::string source;  // "keeper/rank-2", "flight/rank-0", "kernel log", "mpirun"
  std::string fact;    // a full sentence with numbers
};
struct RejectedKind {
  FaultKind kind;
  std::string why;
};

struct Verdict {
  FaultKind kind = FaultKind::internal_error;
  double confidence = 0;  // 0..1
  std::vector<Culprit> culprits;
  std::vector<std::int32_t> victims;  // ranks that only waited
  std::int64_t step = 0;              // completed steps when it happened
  std::int32_t attempt = 0;
  double detected_after_s = 0;  // from the fault (or the last sign of progress) to the verdict
  std::vector<EvidenceFact> evidence;
  std::vector<RejectedKind> rejected;
  RecoveryAction action = RecoveryAction::stop;  // what is done about it this time
  std::string fix;                               // empty: the kind's own
  std::string time;                              // ISO 8601, UTC; filled by the writer
};

std::string to_json(const Verdict& verdict);
// A few lines for a terminal: the kind and its sentence, who, evidence, what happens now.
std::string describe(const Verdict& verdict);

}  // namespace ftl
