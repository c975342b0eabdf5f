#include <cassert>

#include "kernels/embedding.h"

namespace ftl {

void embedding_forward_reference(const EmbeddingForward& args) {
  for (std::int64_t row = 0; row < args.rows; ++row) {
    for (std::int64_t i = 0; i < args.width; ++i)
      args.y[row * args.width + i] = element(args.table, args.ids[row] * args.width + i);
  }
}

void embedding_backward_reference(const EmbeddingBackward& args) {
  for (std::int64_t row = 0; row < args.rows; ++row) {
    assert(args.ids[row] >= 0 && args.ids[row] < args.vocabulary);
    for (std::int64_t i = 0; i < args.width; ++i)
      args.d_table[args.ids[row] * args.width + i] += args.dy[row * args.width + i];
  }
}

}  // namespace ftl
