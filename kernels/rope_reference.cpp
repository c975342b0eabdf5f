#include "kernels/rope.h"

namespace ftl {

void rope_reference(const Rope& args) {
  const std::int64_t half = args.head_dim / 2;
  for (std::int64_t row = 0; row < args.rows; ++row) {
    for (std::int64_t head = 0; head < args.heads; ++head) {
      float* x = args.x + (row * args.heads + head) * args.head_dim;
      for (std::int64_t i = 0; i < half; ++i) {
        const double cosine = args.cosine[(args.first_position + row) * half + i];
        const double sine = args.sine[(args.first_position + row) * half + i] * (args.backward ? -1.0 : 1.0);
        const double a = x[i], b = x[i + half];
        x[i] = static_cast<float>(a * cosine - b * sine);
        x[i + half] = static_cast<float>(b * cosine + a * sine);
      }
    }
  }
}

}  // namespace ftl
