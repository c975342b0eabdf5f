// OpenBLAS behind one function, on the calling thread only. Its result depends on shapes, strides and values, not on
// where the operands lie (tests/kernels/equal_bits_test.cpp shifts them), which the promise of equal bits rests on.
#pragma once

#include <string>

#include "kernels/kernel_table.h"

namespace ftl {

// Must be called before the first sgemm of the process; repeated calls are harmless.
void use_one_blas_thread();
std::string blas_description();  // "OpenBLAS 0.3.21 Zen"

// The whole product in one call (a matrix-vector call if m is 1 and A is not transposed).
void sgemm(const MatMul& product);

}  // namespace ftl
