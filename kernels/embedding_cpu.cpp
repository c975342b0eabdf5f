#include <cassert>
#include <cstring>

#include "kernels/cpu/cpu_stream.h"
#include "kernels/embedding.h"

namespace ftl::FTL_CPU {

void embedding_forward(Stream& stream, const EmbeddingForward& args) {
  cpu(stream).parallel_blocks(args.rows, 64, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row) {
      float* const to = args.y + row * args.width;
      const std::int64_t first = args.ids[row] * args.width;
      if (args.table.f32 != nullptr) {
        std::memcpy(to, args.table.f32 + first, static_cast<std::size_t>(args.width) * sizeof(float));
      } else {
        for (std::int64_t i = 0; i < args.width; ++i) to[i] = widened(args.table.bf16[first + i]);
      }
    }
  });
}

// A token may stand in many rows, so threads divide the columns: every element is summed by one thread, rows ascending.
void embedding_backward(Stream& stream, const EmbeddingBackward& args) {
  cpu(stream).parallel_blocks(args.width, 64, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = 0; row < args.rows; ++row) {
      assert(args.ids[row] >= 0 && args.ids[row] < args.vocabulary);
      float* to = args.d_table + args.ids[row] * args.width;
      const float* from = args.dy + row * args.width;
      for (std::int64_t i = begin; i < end; ++i) to[i] += from[i];
    }
  });
}

}  // namespace ftl::FTL_CPU
