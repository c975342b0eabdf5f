#include "kernels/bias.h"

#include "kernels/cpu/cpu_stream.h"

namespace ftl::FTL_CPU {

void bias_forward(Stream& stream, const BiasForward& args) {
  cpu(stream).parallel_blocks(args.rows, 16, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row) {
      float* const y = args.y + row * args.width;
      for (std::int64_t i = 0; i < args.width; ++i) y[i] += args.bias[i];
    }
  });
}

// Threads divide the columns: every element is summed by one thread, rows ascending.
void bias_backward(Stream& stream, const BiasBackward& args) {
  cpu(stream).parallel_blocks(args.width, 64, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = 0; row < args.rows; ++row) {
      const float* const dy = args.dy + row * args.width;
      for (std::int64_t i = begin; i < end; ++i) args.d_bias[i] += dy[i];
    }
  });
}

}  // namespace ftl::FTL_CPU
