#include <cmath>

#include "kernels/squared_norm.h"

namespace ftl {

void squared_norm_reference(const SquaredNorm& args) {
  constexpr std::int64_t block = 4096;
  double total = 0;
  args.non_finite[0] = -1;
  for (std::int64_t begin = 0; begin < args.count; begin += block) {
    double sum = 0;
    for (std::int64_t i = begin; i < args.count && i < begin + block; ++i) {
      if (!std::isfinite(args.x[i]) && args.non_finite[0] < 0) args.non_finite[0] = i;
      sum += static_cast<double>(args.x[i]) * args.x[i];
    }
    total += sum;
  }
  args.sum[0] = total;
}

}  // namespace ftl
