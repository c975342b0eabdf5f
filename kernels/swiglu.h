// The gate of a Llama feed-forward block (Shazeer 2020): y = silu(gate) up with silu(g) = g s, s = 1 / (1 + e^-g).
// d_up = dy g s, d_gate = dy up s (1 + g (1 - s)). Every output may be one of the inputs (in place). Shapes:
// kernel_table.h.
#pragma once

#include "kernels/cpu/instruction_set.h"
#include "kernels/kernel_table.h"

namespace ftl {

void swiglu_forward_reference(const GluForward& args);
void swiglu_backward_reference(const GluBackward& args);

namespace FTL_CPU {
void swiglu_forward(Stream& stream, const GluForward& args);
void swiglu_backward(Stream& stream, const GluBackward& args);
}  // namespace FTL_CPU

}  // namespace ftl
