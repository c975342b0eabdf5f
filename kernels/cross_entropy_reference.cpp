#include <cmath>

#include "kernels/cross_entropy.h"

namespace ftl {

void cross_entropy_reference(const CrossEntropy& args) {
  double total = 0;
  for (std::int64_t row = 0; row < args.rows; ++row) {
    float* x = args.logits + row * args.vocabulary;
    double largest = x[0], sum = 0;
    for (std::int64_t i = 1; i < args.vocabulary; ++i) largest = x[i] > largest ? x[i] : largest;
    for (std::int64_t i = 0; i < args.vocabulary; ++i) sum += std::exp(x[i] - largest);
    const auto loss = static_cast<float>(std::log(sum) + largest - x[args.targets[row]]);
    total += loss;
    if (args.row_losses != nullptr) args.row_losses[row] = loss;
    if (!args.backward) continue;
    for (std::int64_t i = 0; i < args.vocabulary; ++i) {
      x[i] = static_cast<float>(std::exp(x[i] - largest) / sum - (i == args.targets[row] ? 1.0 : 0.0));
    }
  }
  args.loss_sum[0] = static_cast<float>(total);
}

}  // namespace ftl
