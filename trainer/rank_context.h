// Everything a rank has of the outside world. Built in exactly two places: trainer/main.cpp, and tests/trainer/ for
// ranks that share a process (the dry run of simulation/ has shapes only, so it needs none).
#pragma once

#include <functional>
#include <string>

#include "checkpoints/files.h"
#include "comm/clock.h"
#include "comm/communicator.h"
#include "comm/flight_recorder.h"
#include "comm/process_spec.h"
#include "comm/report.h"
#include "kernels/device.h"

namespace ftl {

struct RankContext {
  Clock& clock;
  Communicator& communicator;
  Device& device;
  Files& files;
  FlightRecorder& recorder;
  std::function<void(const RankReport&)> report;
  std::function<bool()> stop_requested;  // SIGTERM has come: finish the step, checkpoint, leave
  std::int32_t pid = 0;
  std::string platform{};  // trainer/platform.h: written into every state
};

}  // namespace ftl
