#include <cmath>

#include "kernels/adamw.h"

namespace ftl {

void adamw_reference(const AdamW& args) {
  const double b1 = args.beta1, b2 = args.beta2, rate = args.learning_rate;
  const double correction1 = 1 - std::pow(b1, static_cast<double>(args.step));
  const double correction2 = 1 - std::pow(b2, static_cast<double>(args.step));
  for (std::int64_t i = 0; i < args.count; ++i) {
    const double gradient = static_cast<double>(args.gradient_scale) * args.gradient[i];
    const double decayed = args.parameters[i] - rate * args.weight_decay * args.parameters[i];
    const double m = args.m[i] + (1 - b1) * (gradient - args.m[i]);
    const double v = b2 * args.v[i] + (1 - b2) * gradient * gradient;
    args.m[i] = static_cast<float>(m);
    args.v[i] = static_cast<float>(v);
    args.parameters[i] =
        static_cast<float>(decayed - rate / correction1 * m / (std::sqrt(v) / std::sqrt(correction2) + args.epsilon));
  }
}

}  // namespace ftl
