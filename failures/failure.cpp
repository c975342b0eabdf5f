#include "failures/failure.h"

namespace ftl {

std::optional<FaultKind> fault_kind_named(std::string_view name) {
  for (const FaultInfo& fault : fault_table) {
    if (fault.name == name) return fault.kind;
  }
  return std::nullopt;
}

std::string_view name_of(RecoveryAction action) {
  switch (action) {
    case RecoveryAction::observe: return "observe";
    case RecoveryAction::retry: return "retry";
    case RecoveryAction::retry_once: return "retry_once";
    case RecoveryAction::retry_smaller_micro_batch: return "retry_with_smaller_micro_batch";
    case RecoveryAction::replay_step: return "replay_step";
    case RecoveryAction::previous_checkpoint: return "previous_checkpoint";
    case RecoveryAction::stop: return "stop";
  }
  return "stop";
}

std::string describe(const Failure& failure) {
  const FaultInfo& fault = info(failure.kind);
  std::string text = "error: " + failure.what + "\n";
  if (!failure.where.empty()) text += "  where: " + failure.where + "\n";
  text += "  fix:   " + (failure.fix.empty() ? std::string(fault.fix) : failure.fix) + "\n";
  text += "  kind:  " + std::string(fault.name) + " (S:" + std::string(fault.symptom) +
          " R:" + std::string(fault.root_cause) + "), `ftlaunch explain " + std::string(fault.name) + "` says more\n";
  return text;
}

int exit_code(FaultKind kind) {
  if (kind == FaultKind::stopped_on_request) return 5;
  switch (info(kind).stage) {
    case Stage::usage: return 2;
    case Stage::preflight: return 3;
    case Stage::run: return 4;
    case Stage::internal: return 1;
  }
  return 1;
}

}  // namespace ftl
