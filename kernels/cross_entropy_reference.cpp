#include <cmath>
#include <vector>

#include "kernels/cross_entropy.h"

namespace ftl {
namespace {

double capped(double x, double cap) { return cap == 0 ? x : cap * std::tanh(x / cap); }

}  // namespace

void cross_entropy_reference(const CrossEntropy& args) {
  double total = 0;
  for (std::int64_t row = 0; row < args.rows; ++row) {
    float* logits = args.logits + row * args.vocabulary;
    std::vector<double> x(logits, logits + args.vocabulary);
    for (double& logit : x) logit = capped(logit, args.soft_cap);
    double largest = x[0], sum = 0;
    for (const double logit : x) largest = logit > largest ? logit : largest;
    for (const double logit : x) sum += std::exp(logit - largest);
    const auto target = static_cast<std::size_t>(args.targets[row]);
    const auto loss = static_cast<float>(std::log(sum) + largest - x[target]);
    total += loss;
    if (args.row_losses != nullptr) args.row_losses[row] = loss;
    if (!args.backward) continue;
    for (std::size_t i = 0; i < x.size(); ++i) {
      const double slope = args.soft_cap == 0 ? 1 : 1 - x[i] / args.soft_cap * (x[i] / args.soft_cap);
      logits[i] = static_cast<float>((std::exp(x[i] - largest) / sum - (i == target ? 1.0 : 0.0)) * slope);
    }
  }
  args.loss_sum[0] = static_cast<float>(total);
}

}  // namespace ftl
