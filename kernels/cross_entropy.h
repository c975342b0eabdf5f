// Softmax cross entropy of rows that all have a target, with the gradient in place of the logits:
// loss = log(sum e^(x - max)) + max - x[target], d_logits = softmax - onehot; with a soft cap x is capped first,
// and d_logits is multiplied by 1 - (x / soft_cap)^2. A NaN or +infinity in a row makes its
// loss NaN. loss_sum adds the row losses as float32 values in double. Shapes: kernel_table.h.
#pragma once

#include "kernels/cpu/instruction_set.h"
#include "kernels/kernel_table.h"

namespace ftl {

void cross_entropy_reference(const CrossEntropy& args);

namespace FTL_CPU {
void cross_entropy(Stream& stream, const CrossEntropy& args);
}

}  // namespace ftl
