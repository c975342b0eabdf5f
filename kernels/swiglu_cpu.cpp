#include "kernels/swiglu.h"

#include "kernels/cpu/gated_linear.h"

namespace ftl::FTL_CPU {
namespace {

Lanes sigmoid(Lanes x) { return 1.0f / (1.0f + exponential(-x)); }

}  // namespace

void swiglu_forward(Stream& stream, const GluForward& args) {
  glu_forward(stream, args, [](Lanes gate) { return gate * sigmoid(gate); });
}

void swiglu_backward(Stream& stream, const GluBackward& args) {
  glu_backward(stream, args, [](Lanes gate) {
    const Lanes s = sigmoid(gate);
    return Activated{gate * s, s * (1.0f + gate * (1.0f - s))};
  });
}

}  // namespace ftl::FTL_CPU
