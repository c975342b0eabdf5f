#include "trainer/planted_faults.h"

#include <csignal>
#include <cstdlib>
#include <limits>

#include <unistd.h>

#include "trainer/memory_hog.h"

namespace ftl {
namespace {

// The phase at which a fault fires when the user names none.
Phase natural_phase(const FaultSpec& fault) {
  if (auto phase = phase_named(fault.phase)) return *phase;
  if (fault.fault == "hang_before_collective") return Phase::reduce;
  return Phase::backward;
}

bool fires_in_place(const FaultSpec& fault) {
  return fault.fault == "sigkill" || fault.fault == "segv" || fault.fault == "exit" || fault.fault == "sigstop" ||
         fault.fault == "oom" || fault.fault == "hang_before_collective";
}

}  // namespace

PlantedFaults::PlantedFaults(RankContext& context, const std::vector<FaultSpec>& faults, Attempt attempt)
    : context_(context) {
  for (const FaultSpec& fault : faults) {
    if (fault.rank != context.communicator.rank()) continue;
    if (fault.attempt != 0 && fault.attempt != attempt.value) continue;
    mine_.push_back(fault);
  }
}

bool PlantedFaults::due(const FaultSpec& fault, std::string_view name, std::int64_t computing_step) const {
  return fault.times > 0 && fault.fault == name && fault.step == computing_step;
}

void PlantedFaults::announce(FaultSpec& fault, std::int64_t computing_step) {
  --fault.times;
  context_.recorder.fault_fired(context_.clock.now());
  context_.report(ReportFaultFired{fault.text, computing_step});
}

void PlantedFaults::at(Phase phase, std::int64_t step) {
  for (FaultSpec& fault : mine_) {
    const bool step_matches = phase == Phase::init || fault.step == step;
    if (fault.times > 0 && fires_in_place(fault) && natural_phase(fault) == phase && step_matches) {
      announce(fault, step);
      fire(fault, step);
    }
  }
}

void PlantedFaults::fire(FaultSpec& fault, std::int64_t computing_step) {
  if (fault.fault == "sigkill") ::raise(SIGKILL);
  if (fault.fault == "sigstop") ::raise(SIGSTOP);
  if (fault.fault == "segv") {
    ::signal(SIGSEGV, SIG_DFL);
    ::raise(SIGSEGV);
  }
  if (fault.fault == "exit") ::_exit(static_cast<int>(fault.value));
  if (fault.fault == "oom") provoke_oom_killer(context_, computing_step);
  if (fault.fault == "hang_before_collective") {
    for (;;) ::pause();  // until the launcher ends it: that is what is being tested
  }
}

CollectiveSabotage PlantedFaults::collective_sabotage(std::int64_t computing_step) {
  for (FaultSpec& fault : mine_) {
    if (due(fault, "skip_collective", computing_step)) {
      announce(fault, computing_step);
      return CollectiveSabotage::skip;
    }
    if (due(fault, "mismatch_collective", computing_step)) {
      announce(fault, computing_step);
      return CollectiveSabotage::mismatch;
    }
  }
  return CollectiveSabotage::none;
}

void PlantedFaults::spoil(std::int64_t computing_step, double& loss, std::span<float> gradient) {
  for (FaultSpec& fault : mine_) {
    if (due(fault, "nan_loss", computing_step)) {
      announce(fault, computing_step);
      loss = std::numeric_limits<double>::quiet_NaN();
    }
    if (due(fault, "nan_grad", computing_step) && !gradient.empty()) {
      announce(fault, computing_step);
      gradient[gradient.size() / 2] = std::numeric_limits<float>::quiet_NaN();
    }
  }
}

}  // namespace ftl
