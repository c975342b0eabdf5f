// The bias of a linear layer: added to every row, and the sum of gradients over rows. Formulas and shapes:
// kernel_table.h.
#pragma once

#include "kernels/cpu/instruction_set.h"
#include "kernels/kernel_table.h"

namespace ftl {

void bias_forward_reference(const BiasForward& args);
void bias_backward_reference(const BiasBackward& args);

namespace FTL_CPU {
void bias_forward(Stream& stream, const BiasForward& args);
void bias_backward(Stream& stream, const BiasBackward& args);
}  // namespace FTL_CPU

}  // namespace ftl
