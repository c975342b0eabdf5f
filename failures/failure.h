// What can go wrong, as values. A Failure is one occurrence of a fault kind; the kind's fixed properties (taxonomy
// codes, exit code, default recovery) are looked up in the table that failures/taxonomy.def expands to.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace ftl {

// When a fault is found; decides the exit code.
enum class Stage : std::uint8_t { usage, preflight, run, internal };

// What recovery does first about a fault. The names are written into verdicts ("action").
enum class RecoveryAction : std::uint8_t {
  observe,                    // report, go on
  retry,                      // restart from the newest complete state
  retry_once,                 // the same, but a second failure at the same step stops the run
  retry_smaller_micro_batch,  // restart with per_device_train_batch_size halved, stop when it is 1
  replay_step,                // restart from before the step once; the same failure again stops the run
  previous_checkpoint,        // pass over the damaged checkpoint
  stop,
};

enum class FaultKind : std::uint8_t {
#define FAULT(name, symptom, root_cause, stage, retryable, action, sentence, fix) name,
#include "failures/taxonomy.def"
#undef FAULT
};

struct FaultInfo {
  FaultKind kind;
  std::string_view name;
  std::string_view symptom;     // "B.2": a leaf of the study's symptom tree
  std::string_view root_cause;  // "A.3.3"; "E" = unknown
  Stage stage;
  bool retryable;
  RecoveryAction action;
  std::string_view sentence;
  std::string_view fix;
};

inline constexpr std::array fault_table{
#define FAULT(name, symptom, root_cause, stage, retryable, action, sentence, fix)           \
  FaultInfo{FaultKind::name,        #name,    symptom, root_cause, Stage::stage, retryable, \
            RecoveryAction::action, sentence, fix},
#include "failures/taxonomy.def"
#undef FAULT
};

constexpr const FaultInfo& info(FaultKind kind) { return fault_table[static_cast<std::size_t>(kind)]; }
std::optional<FaultKind> fault_kind_named(std::string_view name);
std::string_view name_of(RecoveryAction action);

// One occurrence. Messages for users say what is wrong (with both numbers), where, and what to do.
struct Failure {
  FaultKind kind;
  std::string what;   // one sentence, specific: "hidden_size is 0, must be at least 1"
  std::string where;  // "lora.yaml:12:3", "rank 2, step 118", "model.safetensors"; may be empty
  std::string fix;    // empty: the kind's own fix is shown
};

// "error: <what>\n  where: <where>\n  fix: <fix>\n  (<kind>, S:<symptom> R:<root cause>)"
std::string describe(const Failure& failure);

// contract.md, "Exit codes": 1 internal, 2 usage, 3 preflight, 4 run.
int exit_code(FaultKind kind);

}  // namespace ftl
