#include <cmath>
#include <numbers>

#include "kernels/geglu.h"

namespace ftl {
namespace {

constexpr double cubic = 0.044715;
const double slope = std::sqrt(2 / std::numbers::pi);

}  // namespace

void geglu_forward_reference(const GluForward& args) {
  for (std::int64_t i = 0; i < args.count; ++i) {
    const double gate = args.gate[i], u = slope * (gate + cubic * gate * gate * gate);
    args.y[i] = static_cast<float>(gate / 2 * (1 + std::tanh(u)) * args.up[i]);
  }
}

void geglu_backward_reference(const GluBackward& args) {
  for (std::int64_t i = 0; i < args.count; ++i) {
    const double gate = args.gate[i], up = args.up[i], dy = args.dy[i];
    const double u = slope * (gate + cubic * gate * gate * gate), t = std::tanh(u);
    const double d_u = slope * (1 + 3 * cubic * gate * gate);
    args.d_up[i] = static_cast<float>(dy * gate / 2 * (1 + t));
    args.d_gate[i] = static_cast<float>(dy * up * ((1 + t) / 2 + gate / 2 * (1 - t * t) * d_u));
  }
}

}  // namespace ftl
