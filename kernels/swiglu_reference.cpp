#include <cmath>

#include "kernels/swiglu.h"

namespace ftl {
namespace {

double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

}  // namespace

void swiglu_forward_reference(const GluForward& args) {
  for (std::int64_t i = 0; i < args.count; ++i) {
    const double gate = args.gate[i];
    args.y[i] = static_cast<float>(gate * sigmoid(gate) * args.up[i]);
  }
}

void swiglu_backward_reference(const GluBackward& args) {
  for (std::int64_t i = 0; i < args.count; ++i) {
    const double gate = args.gate[i], up = args.up[i], dy = args.dy[i], s = sigmoid(gate);
    args.d_up[i] = static_cast<float>(dy * gate * s);
    args.d_gate[i] = static_cast<float>(dy * up * s * (1 + gate * (1 - s)));
  }
}

}  // namespace ftl
