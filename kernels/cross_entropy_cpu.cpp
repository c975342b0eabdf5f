#include <cassert>
#include <cmath>

#include "kernels/cpu/cpu_stream.h"
#include "kernels/cpu/lanes.h"
#include "kernels/cross_entropy.h"

namespace ftl::FTL_CPU {
namespace {

constexpr float minus_infinity = -__builtin_inff();

// e^(x - largest) into x when `keep`. Sums of 1024 in float32, their sum in double: a vocabulary is long.
double exponentials(float* x, std::int64_t count, float largest, bool keep) {
  double sum = 0;
  for (std::int64_t begin = 0; begin < count; begin += 1024) {
    const std::int64_t end = count - begin < 1024 ? count : begin + 1024;
    Lanes partial{};
    std::int64_t i = begin;
    for (; i + lane_count <= end; i += lane_count) {
      const Lanes e = exponential(load(x + i) - largest);
      partial += e;
      if (keep) store(x + i, e);
    }
    if (i < end) {
      const Lanes e = exponential(load_some(x + i, end - i, minus_infinity) - largest);
      partial += e;
      if (keep) store_some(x + i, e, end - i);
    }
    sum += static_cast<double>(sum_of(partial));
  }
  return sum;
}

float row_loss(float* x, std::int64_t target, std::int64_t vocabulary, bool backward) {
  const float largest = largest_in(x, vocabulary), target_logit = x[target];
  const double sum = exponentials(x, vocabulary, largest, backward);
  if (backward) {
    const auto inverse = static_cast<float>(1 / sum);
    for (std::int64_t i = 0; i < vocabulary; ++i) x[i] *= inverse;
    x[target] -= 1.0f;
  }
  return static_cast<float>(std::log(sum) + static_cast<double>(largest) - static_cast<double>(target_logit));
}

}  // namespace

void cross_entropy(Stream& stream, const CrossEntropy& args) {
  // Without row_losses the losses of a bundle of rows wait in the caller's scratch. Same sum, same order.
  float* const waiting = cpu(stream).scratch(0).blocks;
  const std::int64_t bundle = args.row_losses != nullptr ? args.rows : CpuStream::block_floats;
  double total = 0;
  for (std::int64_t first = 0; first < args.rows; first += bundle) {
    const std::int64_t count = args.rows - first < bundle ? args.rows - first : bundle;
    float* losses = args.row_losses != nullptr ? args.row_losses : waiting;
    cpu(stream).parallel_for(count, [&](std::int64_t index, int) {
      const std::int64_t row = first + index;
      assert(args.targets[row] >= 0 && args.targets[row] < args.vocabulary);
      losses[index] = row_loss(args.logits + row * args.vocabulary, args.targets[row], args.vocabulary, args.backward);
    });
    for (std::int64_t index = 0; index < count; ++index) total += static_cast<double>(losses[index]);
  }
  args.loss_sum[0] = static_cast<float>(total);
}

}  // namespace ftl::FTL_CPU
