// C = alpha op(A) op(B) + beta C; with beta 0, C is written and never read (BLAS level 3, SGEMM). Shapes:
// kernel_table.h.
#pragma once

#include "kernels/cpu/instruction_set.h"
#include "kernels/kernel_table.h"

namespace ftl {

void matmul_reference(const MatMul& args);

namespace FTL_CPU {
void matmul(Stream& stream, const MatMul& args);
}

}  // namespace ftl
