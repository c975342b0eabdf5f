// Makes the kernel's out-of-memory killer end this very process, and nothing else: the process moves itself into a
// memory cgroup of its own with a small limit (v1 or v2) and then exceeds it. Where cgroups cannot be written, it says
// so and the fault fires as a failure of the injection, never as a pretended OOM.
#pragma once

#include <cstdint>

#include "trainer/rank_context.h"

namespace ftl {

[[noreturn]] void provoke_oom_killer(RankContext& context, std::int64_t computing_step);

}  // namespace ftl
