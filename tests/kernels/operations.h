// Every operation of the kernel table as a case: a shape, and a function that prepares operands from a seed, runs the
// operation given as a table, and returns everything it wrote. The same cases compare a table with the references, one
// number of threads with another, and one alignment with another.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "kernels/kernel_table.h"

namespace ftl::testing {

using Floats = std::vector<float>;

// `shift` moves every operand by that many floats from a 64-byte boundary.
struct OperationCase {
  std::string name;
  double tolerance;  // relative_error() allowed between production and reference
  std::function<std::vector<Floats>(const KernelTable& kernels, Stream& stream, int shift)> run;
  double least = 0;  // relative_error()'s
};

std::vector<OperationCase> operation_cases();

// The references, dressed as a table; the stream is not looked at.
const KernelTable& reference_table();

}  // namespace ftl::testing
