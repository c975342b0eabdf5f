// Causal attention (Vaswani et al. 2017, equation 1) with grouped kv heads, in blocks after FlashAttention-2 (Dao 2023,
// algorithms 1 and 2): scores exist for one block of rows and columns at a time, log_sum_exp is saved, and the backward
// recomputes P = e^(S - log_sum_exp) from it. With D = rowsum(d_out out): dS = P (dP - D).
// Windows after Beltagy et al. 2020 (section 3.1, causal), soft caps after Gemma 2 (2024, section 2).
// Shapes: kernel_table.h.
#pragma once

#include "kernels/cpu/instruction_set.h"
#include "kernels/kernel_table.h"

namespace ftl {

void attention_forward_reference(const AttentionForward& args);
void attention_backward_reference(const AttentionBackward& args);

namespace FTL_CPU {
void attention_forward(Stream& stream, const AttentionForward& args);
void attention_backward(Stream& stream, const AttentionBackward& args);
}  // namespace FTL_CPU

}  // namespace ftl
