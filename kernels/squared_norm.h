// The sum of squares for gradient clipping, and the first element that is not finite. Shapes: kernel_table.h.
#pragma once

#include "kernels/cpu/instruction_set.h"
#include "kernels/kernel_table.h"

namespace ftl {

void squared_norm_reference(const SquaredNorm& args);

namespace FTL_CPU {
void squared_norm(Stream& stream, const SquaredNorm& args);
}

}  // namespace ftl
