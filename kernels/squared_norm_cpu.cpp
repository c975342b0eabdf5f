#include <cmath>
#include <cstring>

#include "kernels/cpu/cpu_stream.h"
#include "kernels/squared_norm.h"

namespace ftl::FTL_CPU {
namespace {

constexpr std::int64_t block = 4096;

// Eight running sums of every eighth element, then their sum. The square of a finite float is finite in double, so the
// block has an element that is not finite exactly if its sum is not.
double sum_of_squares(const float* x, std::int64_t count) {
  double sums[8] = {};
  std::int64_t i = 0;
  for (; i + 8 <= count; i += 8) {
    for (std::int64_t lane = 0; lane < 8; ++lane) sums[lane] += static_cast<double>(x[i + lane]) * x[i + lane];
  }
  for (std::int64_t lane = 0; i < count; ++i, ++lane) sums[lane] += static_cast<double>(x[i]) * x[i];
  return ((sums[0] + sums[1]) + (sums[2] + sums[3])) + ((sums[4] + sums[5]) + (sums[6] + sums[7]));
}

std::int64_t first_non_finite(const float* x, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) {
    if (!std::isfinite(x[i])) return i;
  }
  return -1;
}

}  // namespace

void squared_norm(Stream& stream, const SquaredNorm& args) {
  // Block sums wait in the caller's scratch, a bundle of blocks at a time, and are added in ascending order.
  constexpr std::int64_t bundle = CpuStream::block_floats / 2;
  char* const waiting = reinterpret_cast<char*>(cpu(stream).scratch(0).blocks);
  const std::int64_t blocks = (args.count + block - 1) / block;
  double total = 0;
  args.non_finite[0] = -1;
  for (std::int64_t first = 0; first < blocks; first += bundle) {
    const std::int64_t count = blocks - first < bundle ? blocks - first : bundle;
    cpu(stream).parallel_for(count, [&](std::int64_t index, int) {
      const std::int64_t begin = (first + index) * block;
      const double sum = sum_of_squares(args.x + begin, args.count - begin < block ? args.count - begin : block);
      std::memcpy(waiting + static_cast<std::size_t>(index) * sizeof sum, &sum, sizeof sum);
    });
    for (std::int64_t index = 0; index < count; ++index) {
      double sum;
      std::memcpy(&sum, waiting + static_cast<std::size_t>(index) * sizeof sum, sizeof sum);
      total += sum;
      if (args.non_finite[0] >= 0 || std::isfinite(sum)) continue;
      const std::int64_t begin = (first + index) * block;
      args.non_finite[0] =
          begin + first_non_finite(args.x + begin, args.count - begin < block ? args.count - begin : block);
    }
  }
  args.sum[0] = total;
}

}  // namespace ftl::FTL_CPU
