#include "kernels/bias.h"

namespace ftl {

void bias_forward_reference(const BiasForward& args) {
  for (std::int64_t row = 0; row < args.rows; ++row) {
    for (std::int64_t i = 0; i < args.width; ++i) args.y[row * args.width + i] += args.bias[i];
  }
}

void bias_backward_reference(const BiasBackward& args) {
  for (std::int64_t i = 0; i < args.width; ++i) {
    double sum = args.d_bias[i];
    for (std::int64_t row = 0; row < args.rows; ++row) sum += args.dy[row * args.width + i];
    args.d_bias[i] = static_cast<float>(sum);
  }
}

}  // namespace ftl
