// What the promise of equal bits holds for: one binary, one library of matrix products if any, one instruction set.
#pragma once

#include <string>

#include "checkpoints/files.h"
#include "kernels/device.h"

namespace ftl {

// "avx2, fttrain 6f1d..": the last is a hash over the contents of `executable`, so the same
// program is the same wherever and whenever it was built.
Result<std::string> platform_of(Files& files, const Device& device, const std::string& executable);

}  // namespace ftl
