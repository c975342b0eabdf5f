// The gate of a Gemma feed-forward block (Shazeer 2020): y = gelu(gate) up, with the approximation of Hendrycks and
// Gimpel 2016, section 2: gelu(g) = g/2 (1 + tanh(u)), u = sqrt(2/pi) (g + 0.044715 g^3). As (1 + tanh(u)) / 2 =
// 1 / (1 + e^-2u) = s: gelu(g) = g s, d_up = dy g s, d_gate = dy up s (1 + g (1 - s) 2u'). Every output may be one of
// the inputs (in place). Shapes: kernel_table.h.
#pragma once

#include "kernels/cpu/instruction_set.h"
#include "kernels/kernel_table.h"

namespace ftl {

void geglu_forward_reference(const GluForward& args);
void geglu_backward_reference(const GluBackward& args);

namespace FTL_CPU {
void geglu_forward(Stream& stream, const GluForward& args);
void geglu_backward(Stream& stream, const GluBackward& args);
}  // namespace FTL_CPU

}  // namespace ftl
