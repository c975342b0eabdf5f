// Rotary position embedding (Su et al. 2021, equation 34) in the half-split layout of Hugging Face's
// apply_rotary_pos_emb: (a, b) = (x[i], x[i + head_dim/2]) becomes (a cos - b sin, b cos + a sin). Shapes:
// kernel_table.h.
#pragma once

#include "kernels/cpu/instruction_set.h"
#include "kernels/kernel_table.h"

namespace ftl {

void rope_reference(const Rope& args);

namespace FTL_CPU {
void rope(Stream& stream, const Rope& args);
}

}  // namespace ftl
