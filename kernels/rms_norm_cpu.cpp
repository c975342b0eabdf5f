#include <cmath>

#include "kernels/cpu/cpu_stream.h"
#include "kernels/cpu/lanes.h"
#include "kernels/rms_norm.h"

namespace ftl::FTL_CPU {
namespace {

constexpr std::int64_t rows_a_block = 16;

// Sum over i of (offset + x[i]) y[i] (z[i] if given): four registers of partial sums, so the order depends on `width`
// alone.
float dot(const float* x, float offset, const float* y, const float* z, std::int64_t width) {
  constexpr std::int64_t stride = 4 * lane_count;
  const auto product = [&](std::int64_t i, std::int64_t count) {
    const auto part = [&](const float* from) {
      return count == lane_count ? load(from + i) : load_some(from + i, count, 0);
    };
    const Lanes first = offset + part(x);
    return z == nullptr ? first * part(y) : first * part(y) * part(z);
  };
  Lanes sums[4] = {};
  std::int64_t i = 0;
  for (; i + stride <= width; i += stride) {
    for (std::int64_t part = 0; part < 4; ++part) sums[part] += product(i + part * lane_count, lane_count);
  }
  for (; i < width; i += lane_count) sums[0] += product(i, width - i < lane_count ? width - i : lane_count);
  return sum_of((sums[0] + sums[1]) + (sums[2] + sums[3]));
}

}  // namespace

void rms_norm_forward(Stream& stream, const RmsNormForward& args) {
  cpu(stream).parallel_blocks(args.rows, rows_a_block, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row) {
      const float* x = args.x + row * args.width;
      float* y = args.y + row * args.width;
      const float inverse =
          1 / std::sqrt(dot(x, 0, x, nullptr, args.width) / static_cast<float>(args.width) + args.epsilon);
      for (std::int64_t i = 0; i < args.width; ++i) y[i] = x[i] * inverse * (args.gain_offset + args.gain[i]);
      args.inverse_rms[row] = inverse;
    }
  });
}

void rms_norm_backward(Stream& stream, const RmsNormBackward& args) {
  CpuStream& on = cpu(stream);
  if (args.d_gain != nullptr) {  // first, while dy is whole: dx may be the same memory
    on.parallel_blocks(args.width, 64, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t row = 0; row < args.rows; ++row) {
        const float* x = args.x + row * args.width;
        const float* dy = args.dy + row * args.width;
        const float inverse = args.inverse_rms[row];
        for (std::int64_t i = begin; i < end; ++i) args.d_gain[i] += dy[i] * x[i] * inverse;
      }
    });
  }
  on.parallel_blocks(args.rows, rows_a_block, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row) {
      const float* x = args.x + row * args.width;
      const float* dy = args.dy + row * args.width;
      float* dx = args.dx + row * args.width;
      const float inverse = args.inverse_rms[row];
      const float mean = dot(args.gain, args.gain_offset, dy, x, args.width) / static_cast<float>(args.width);
      const float factor = mean * inverse * inverse;
      const auto gradient = [&](std::int64_t i) {
        return inverse * ((args.gain_offset + args.gain[i]) * dy[i] - x[i] * factor);
      };
      if (args.accumulate) {
        for (std::int64_t i = 0; i < args.width; ++i) dx[i] += gradient(i);
      } else {
        for (std::int64_t i = 0; i < args.width; ++i) dx[i] = gradient(i);
      }
    }
  });
}

}  // namespace ftl::FTL_CPU
