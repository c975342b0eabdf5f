// y = value, y += scale x, y *= scale, y = soft_cap tanh(y / soft_cap). Shapes: kernel_table.h.
#pragma once

#include "kernels/cpu/instruction_set.h"
#include "kernels/kernel_table.h"

namespace ftl {

void fill_reference(const Fill& args);
void add_reference(const Add& args);
void scale_reference(const Scale& args);
void soft_cap_reference(const SoftCap& args);

namespace FTL_CPU {
void fill(Stream& stream, const Fill& args);
void add(Stream& stream, const Add& args);
void scale(Stream& stream, const Scale& args);
void soft_cap(Stream& stream, const SoftCap& args);
}  // namespace FTL_CPU

}  // namespace ftl
