// Adam with decoupled weight decay (Loshchilov & Hutter 2019), in the order of operations of torch.optim.AdamW;
// the factors of a step are computed in double and rounded once. Formula and shapes: kernel_table.h.
#pragma once

#include "kernels/cpu/instruction_set.h"
#include "kernels/kernel_table.h"

namespace ftl {

void adamw_reference(const AdamW& args);

namespace FTL_CPU {
void adamw(Stream& stream, const AdamW& args);
}

}  // namespace ftl
