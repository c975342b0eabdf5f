#include <cmath>

#include "kernels/adamw.h"
#include "kernels/cpu/cpu_stream.h"

namespace ftl::FTL_CPU {
namespace {

struct Factors {
  float keep, one_minus_beta1, beta2, one_minus_beta2, step_size, root_correction2, epsilon, gradient_scale;
};

Factors factors_of(const AdamW& args) {
  const double b1 = args.beta1, b2 = args.beta2, rate = args.learning_rate;
  const auto step = static_cast<double>(args.step);
  return {.keep = static_cast<float>(1 - rate * static_cast<double>(args.weight_decay)),
          .one_minus_beta1 = static_cast<float>(1 - b1),
          .beta2 = args.beta2,
          .one_minus_beta2 = static_cast<float>(1 - b2),
          .step_size = static_cast<float>(rate / (1 - std::pow(b1, step))),
          .root_correction2 = static_cast<float>(std::sqrt(1 - std::pow(b2, step))),
          .epsilon = args.epsilon,
          .gradient_scale = args.gradient_scale};
}

void update(float* __restrict parameters, const float* __restrict gradient, float* __restrict m, float* __restrict v,
            std::int64_t count, Factors f) {
  for (std::int64_t i = 0; i < count; ++i) {
    const float g = f.gradient_scale * gradient[i];
    m[i] += f.one_minus_beta1 * (g - m[i]);
    v[i] = f.beta2 * v[i] + f.one_minus_beta2 * g * g;
    parameters[i] = parameters[i] * f.keep - f.step_size * m[i] / (std::sqrt(v[i]) / f.root_correction2 + f.epsilon);
  }
}

}  // namespace

void adamw(Stream& stream, const AdamW& args) {
  const Factors factors = factors_of(args);
  cpu(stream).parallel_blocks(args.count, 16384, [&](std::int64_t begin, std::int64_t end) {
    update(args.parameters + begin, args.gradient + begin, args.m + begin, args.v + begin, end - begin, factors);
  });
}

}  // namespace ftl::FTL_CPU
