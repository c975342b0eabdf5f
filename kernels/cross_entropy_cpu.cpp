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

// x holds capped logits and becomes the gradient of those before the cap: softmax times 1 - tanh^2, for the
// exponentials are made again where both are needed.
void capped_gradient(float* x, std::int64_t target, std::int64_t vocabulary, float largest, float inverse, float cap) {
  const auto slope = [cap](Lanes logit) { return 1.0f - logit / cap * (logit / cap); };
  const float of_target = slope(broadcast(x[target]))[0];
  std::int64_t i = 0;
  for (; i + lane_count <= vocabulary; i += lane_count) {
    const Lanes logit = load(x + i);
    store(x + i, exponential(logit - largest) * inverse * slope(logit));
  }
  if (i < vocabulary) {
    const Lanes logit = load_some(x + i, vocabulary - i, 0);
    store_some(x + i, exponential(logit - largest) * inverse * slope(logit), vocabulary - i);
  }
  x[target] -= of_target;
}

float row_loss(float* x, std::int64_t target, const CrossEntropy& args) {
  const bool capped = args.soft_cap != 0;
  if (capped) cap_softly(x, args.vocabulary, args.soft_cap);
  const float largest = largest_in(x, args.vocabulary), target_logit = x[target];
  const double sum = exponentials(x, args.vocabulary, largest, args.backward && !capped);
  if (args.backward) {
    const auto inverse = static_cast<float>(1 / sum);
    if (capped) {
      capped_gradient(x, target, args.vocabulary, largest, inverse, args.soft_cap);
    } else {
      for (std::int64_t i = 0; i < args.vocabulary; ++i) x[i] *= inverse;
      x[target] -= 1.0f;
    }
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
      losses[index] = row_loss(args.logits + row * args.vocabulary, args.targets[row], args);
    });
    for (std::int64_t index = 0; index < count; ++index) total += static_cast<double>(losses[index]);
  }
  args.loss_sum[0] = static_cast<float>(total);
}

}  // namespace ftl::FTL_CPU
