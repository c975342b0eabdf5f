// Rows of the token embedding, and the sum of gradients into them. Formulas and shapes: kernel_table.h.
#pragma once

#include "kernels/cpu/instruction_set.h"
#include "kernels/kernel_table.h"

namespace ftl {

void embedding_forward_reference(const EmbeddingForward& args);
void embedding_backward_reference(const EmbeddingBackward& args);

namespace FTL_CPU {
void embedding_forward(Stream& stream, const EmbeddingForward& args);
void embedding_backward(Stream& stream, const EmbeddingBackward& args);
}  // namespace FTL_CPU

}  // namespace ftl
