// Root mean square layer normalisation (Zhang & Sennrich 2019, equation 4; epsilon inside the root as in Llama).
// y = x g / r with g = gain_offset + gain and 1/r = inverse_rms, so dx = (g dy - x mean(g dy x) / r^2) / r and d_gain =
// sum of dy x / r over rows. dy may be dx when `accumulate` is off. Shapes: kernel_table.h.
#pragma once

#include "kernels/cpu/instruction_set.h"
#include "kernels/kernel_table.h"

namespace ftl {

void rms_norm_forward_reference(const RmsNormForward& args);
void rms_norm_backward_reference(const RmsNormBackward& args);

namespace FTL_CPU {
void rms_norm_forward(Stream& stream, const RmsNormForward& args);
void rms_norm_backward(Stream& stream, const RmsNormBackward& args);
}  // namespace FTL_CPU

}  // namespace ftl
