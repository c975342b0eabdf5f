// y = value, y += scale x, y *= scale. Shapes: kernel_table.h.
#pragma once

#include "kernels/cpu/instruction_set.h"
#include "kernels/kernel_table.h"

namespace ftl {

void fill_reference(const Fill& args);
void add_reference(const Add& args);
void scale_reference(const Scale& args);

namespace FTL_CPU {
void fill(Stream& stream, const Fill& args);
void add(Stream& stream, const Add& args);
void scale(Stream& stream, const Scale& args);
}  // namespace FTL_CPU

}  // namespace ftl
