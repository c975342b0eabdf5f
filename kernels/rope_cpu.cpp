#include "kernels/cpu/cpu_stream.h"
#include "kernels/rope.h"

namespace ftl::FTL_CPU {
namespace {

void rotate(float* __restrict a, float* __restrict b, const float* __restrict cosine, const float* __restrict sine,
            float sign, std::int64_t half) {
  for (std::int64_t i = 0; i < half; ++i) {
    const float s = sign * sine[i], old_a = a[i], old_b = b[i];
    a[i] = old_a * cosine[i] - old_b * s;
    b[i] = old_b * cosine[i] + old_a * s;
  }
}

}  // namespace

void rope(Stream& stream, const Rope& args) {
  const std::int64_t half = args.head_dim / 2;
  const float sign = args.backward ? -1.0f : 1.0f;
  cpu(stream).parallel_blocks(args.rows, 16, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row) {
      const std::int64_t angles = (args.first_position + row) * half;
      for (std::int64_t head = 0; head < args.heads; ++head) {
        float* x = args.x + (row * args.heads + head) * args.head_dim;
        rotate(x, x + half, args.cosine + angles, args.sine + angles, sign, half);
      }
    }
  });
}

}  // namespace ftl::FTL_CPU
