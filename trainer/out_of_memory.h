// What a rank does when `operator new` finds no memory, on whatever thread: it says so and ends, as one that names its
// own failure. What it says was put into words while there was memory; nothing is asked of the allocator any more, and
// no exception has to find its way through threads that have no one to catch it.
#pragma once

#include <string>

#include "comm/rank.h"
#include "comm/report.h"

namespace ftl {

ReportFailure out_of_memory_report(Rank rank);

// From now on and until the process ends; `report` is written to `descriptor`, then exit code 4.
void end_when_memory_runs_out(int descriptor, const ReportFailure& report);

}  // namespace ftl
