#include <cmath>

#include "kernels/rms_norm.h"

namespace ftl {

void rms_norm_forward_reference(const RmsNormForward& args) {
  for (std::int64_t row = 0; row < args.rows; ++row) {
    const float* x = args.x + row * args.width;
    double squares = 0;
    for (std::int64_t i = 0; i < args.width; ++i) squares += static_cast<double>(x[i]) * x[i];
    const double inverse = 1 / std::sqrt(squares / static_cast<double>(args.width) + args.epsilon);
    for (std::int64_t i = 0; i < args.width; ++i)
      args.y[row * args.width + i] =
          static_cast<float>(x[i] * inverse * (static_cast<double>(args.gain_offset) + args.gain[i]));
    args.inverse_rms[row] = static_cast<float>(inverse);
  }
}

void rms_norm_backward_reference(const RmsNormBackward& args) {
  const auto gain = [&](std::int64_t i) { return static_cast<double>(args.gain_offset) + args.gain[i]; };
  for (std::int64_t row = 0; row < args.rows; ++row) {
    const float* x = args.x + row * args.width;
    const float* dy = args.dy + row * args.width;
    float* dx = args.dx + row * args.width;
    const double inverse = args.inverse_rms[row];
    double dot = 0;
    for (std::int64_t i = 0; i < args.width; ++i) dot += gain(i) * dy[i] * x[i];
    const double mean = dot / static_cast<double>(args.width);
    if (args.d_gain != nullptr) {
      for (std::int64_t i = 0; i < args.width; ++i) args.d_gain[i] += static_cast<float>(dy[i] * x[i] * inverse);
    }
    for (std::int64_t i = 0; i < args.width; ++i) {
      const double gradient = inverse * (gain(i) * dy[i] - x[i] * mean * inverse * inverse);
      dx[i] = static_cast<float>(gradient + (args.accumulate ? dx[i] : 0.0f));
    }
  }
}

}  // namespace ftl
