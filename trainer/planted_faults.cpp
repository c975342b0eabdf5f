#include "trainer/planted_faults.h"

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <limits>
#include <utility>

#include <unistd.h>

#include "trainer/memory_hog.h"

namespace ftl {
namespace {

constexpr Duration sign_of_life_every = std::chrono::milliseconds(100);

// The phase at which a fault fires when the user names none.
Phase natural_phase(const FaultSpec& fault) {
  if (auto phase = phase_named(fault.phase)) return *phase;
  if (fault.fault == "hang_before_collective") return Phase::reduce;
  return Phase::backward;
}

bool fires_in_place(const FaultSpec& fault) {
  return fault.fault == "sigkill" || fault.fault == "segv" || fault.fault == "exit" || fault.fault == "sigstop" ||
         fault.fault == "oom" || fault.fault == "hang_before_collective" || fault.fault == "drop_connection";
}

// A storage on which nothing can be written any more.
class FullFiles final : public Files {
 public:
  explicit FullFiles(Files& real) : real_(real) {}
  Result<Done> write(const std::string& path, std::span<const std::span<const std::byte>>) override {
    return Failure{FaultKind::storage_full, "no space left on the storage (planted)", path, ""};
  }
  Result<std::string> read(const std::string& path, std::size_t limit) override { return real_.read(path, limit); }
  Result<MappedFile> map(const std::string& path) override { return real_.map(path); }
  Result<Done> make_directories(const std::string& path) override { return real_.make_directories(path); }
  Result<Done> rename(const std::string& from, const std::string& to) override { return real_.rename(from, to); }
  Result<Done> sync_directory(const std::string& path) override { return real_.sync_directory(path); }
  Result<Done> remove_all(const std::string& path) override { return real_.remove_all(path); }
  Result<std::vector<std::string>> list(const std::string& directory) override { return real_.list(directory); }
  bool exists(const std::string& path) override { return real_.exists(path); }

 private:
  Files& real_;
};

// In place, as a disk does it: nobody is told.
void flip_a_bit(const std::string& path) {
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekg(0, std::ios::end);
  const std::streamoff middle = file.tellg() / 2;
  file.seekg(middle);
  const int byte = file.get();
  file.seekp(middle);
  file.put(static_cast<char>(byte ^ 0x10));
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
    if (fault.fault == "slow" && fault.times > 0 && phase == Phase::forward && step >= fault.step)
      slow_down(fault, step);
    const bool step_matches = phase == Phase::init || fault.step == step;
    if (fault.times > 0 && fires_in_place(fault) && natural_phase(fault) == phase && step_matches) {
      announce(fault, step);
      fire(fault, step);
    }
  }
}

void PlantedFaults::slow_down(FaultSpec& fault, std::int64_t computing_step) {
  if (std::exchange(slowed_, true))
    --fault.times;
  else
    announce(fault, computing_step);
  // With signs of life, as work has them: slow is not stuck, however slow.
  const TimePoint until = context_.clock.now() + std::chrono::milliseconds(fault.value);
  while (context_.clock.now() < until) {
    context_.clock.sleep_until(std::min(until, context_.clock.now() + sign_of_life_every));
    context_.recorder.heartbeat(context_.clock.now());
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
  if (fault.fault == "hang_before_collective" || fault.fault == "drop_connection") {
    // Until the launcher ends it, or its keeper, which has heard of it and breaks its own connection.
    for (;;) ::pause();
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
    if (due(fault, "comm_error", computing_step)) {
      announce(fault, computing_step);
      library_error_code_ = fault.value;
      return CollectiveSabotage::library_error;
    }
  }
  return CollectiveSabotage::none;
}

Failure PlantedFaults::library_error() const {
  return {FaultKind::communication_failure,
          "the communication library reported error " + std::to_string(library_error_code_) + " (planted)", "", ""};
}

Files& PlantedFaults::files_for_checkpoint(std::int64_t step) {
  for (FaultSpec& fault : mine_) {
    if (fault.fault != "disk_full" || fault.times <= 0 || step < fault.step) continue;
    announce(fault, step);
    full_files_ = std::make_unique<FullFiles>(context_.files);
    return *full_files_;
  }
  return context_.files;
}

Result<Done> PlantedFaults::damage_checkpoint(std::int64_t step, const std::string& directory) {
  for (FaultSpec& fault : mine_) {
    const bool torn = fault.fault == "torn_checkpoint", flipped = fault.fault == "bitflip_checkpoint";
    if ((!torn && !flipped) || fault.times <= 0 || step < fault.step) continue;
    announce(fault, step);
    const std::string path = directory + "/optimizer.safetensors";
    std::error_code error;
    if (torn) std::filesystem::resize_file(path, std::filesystem::file_size(path, error) / 2, error);
    if (flipped) flip_a_bit(path);
    if (error) return Failure{FaultKind::storage_failed, "the planted fault failed: " + error.message(), path, ""};
  }
  return Done{};
}

void PlantedFaults::spoil(std::int64_t computing_step, double& loss, std::span<float> gradient) {
  for (FaultSpec& fault : mine_) {
    if (due(fault, "nan_loss", computing_step)) {
      announce(fault, computing_step);
      loss = std::numeric_limits<double>::quiet_NaN();
    }
    if (due(fault, "loss_spike", computing_step)) {
      announce(fault, computing_step);
      loss *= 1000;
    }
    if (due(fault, "nan_grad", computing_step) && !gradient.empty()) {
      announce(fault, computing_step);
      gradient[gradient.size() / 2] = std::numeric_limits<float>::quiet_NaN();
    }
  }
}

}  // namespace ftl
