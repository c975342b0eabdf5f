// The newest verdict of a run directory, as far as a new command needs it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "failures/failure.h"

namespace ftl {

struct LastVerdict {
  FaultKind kind = FaultKind::internal_error;
  std::int32_t attempt = 0;
  std::int64_t step = 0;
  bool retryable = true;
  std::string action;
  std::string fix;
};

// nullopt: there is none, or its file is garbage.
std::optional<LastVerdict> last_verdict(const std::string& run_directory);

// The settings of a fix that is expressed as `--set key=value`: {"key=value", ...}.
std::vector<std::string> settings_in(const std::string& fix);

}  // namespace ftl
