// Rows picked by index, and rows added back at those indices. Shapes: kernel_table.h.
#pragma once

#include "kernels/cpu/instruction_set.h"
#include "kernels/kernel_table.h"

namespace ftl {

void gather_rows_reference(const GatherRows& args);
void scatter_rows_reference(const ScatterRows& args);

namespace FTL_CPU {
void gather_rows(Stream& stream, const GatherRows& args);
void scatter_rows(Stream& stream, const ScatterRows& args);
}  // namespace FTL_CPU

}  // namespace ftl
