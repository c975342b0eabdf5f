#include "kernels/elementwise.h"

#include <cmath>

namespace ftl {

void fill_reference(const Fill& args) {
  for (std::int64_t i = 0; i < args.count; ++i) args.y[i] = args.value;
}

void add_reference(const Add& args) {
  for (std::int64_t i = 0; i < args.count; ++i) args.y[i] += args.scale * args.x[i];
}

void scale_reference(const Scale& args) {
  for (std::int64_t i = 0; i < args.count; ++i) args.y[i] *= args.scale;
}

void soft_cap_reference(const SoftCap& args) {
  const double cap = args.soft_cap;
  for (std::int64_t i = 0; i < args.count; ++i) args.y[i] = static_cast<float>(cap * std::tanh(args.y[i] / cap));
}

}  // namespace ftl
