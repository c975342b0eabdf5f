// --dry-run: all ranks walked as data in this process. Prints the resolved configuration, placement, memory of every
// rank, and every collective of a step with its bytes; opens no GPU, no MPI and no port.
#pragma once

#include "configs/config_reader.h"
#include "launcher/verbs/run_options.h"

namespace ftl {

int print_dry_run(const ReadConfig& read, const PreflightOutcome& preflight, bool json);

}  // namespace ftl
