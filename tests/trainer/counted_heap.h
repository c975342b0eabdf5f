// Replaces operator new of the program that links it, to count.
#pragma once

#include <cstdint>

namespace ftl {

std::int64_t allocations();  // by `new`, on all threads, since the program began

}  // namespace ftl
