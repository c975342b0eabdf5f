// run.json: what a run is (configuration, inputs, placement, planted faults), written before its first rank starts, so
// that the same command later knows what is there.
#pragma once

#include <string>
#include <vector>

#include "configs/run_config.h"
#include "failures/result.h"
#include "launcher/preflight.h"

namespace ftl {

struct RunRecord {
  RunConfig config;
  Placement placement;
  std::string inputs_hash;
  std::string platform;  // binary and instruction set: imposed on every rank and every resume
  std::vector<std::string> injected;
  std::string started;  // ISO 8601, UTC
};

std::string to_json(const RunRecord& record);  // schema ftlaunch.run/1
Result<RunRecord> run_record_from_json(const std::string& json);

// Hash over everything that the promise of equal bits depends on; carried by checkpoints and hot state.
std::string run_identity(const RunConfig& config, const std::string& inputs_hash);

}  // namespace ftl
