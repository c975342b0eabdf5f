#include "kernels/geglu.h"

#include "kernels/cpu/gated_linear.h"

namespace ftl::FTL_CPU {
namespace {

constexpr float twice_slope = 1.5957691216057308f;  // 2 sqrt(2/pi)
constexpr float cubic = 0.044715f;

// s = 1 / (1 + e^-2u), and 1 - s without a cancellation: s e^-2u. Where e^-2u would overflow, s is 0 in float32 anyway.
struct Shares {
  Lanes s, rest;
};
Shares shares_of(Lanes gate) {
  const Lanes minus_2u = -twice_slope * gate * (1.0f + cubic * gate * gate);
  const Lanes e = exponential(select((IntLanes)(minus_2u > 88.0f), broadcast(88.0f), minus_2u));
  const Lanes s = 1.0f / (1.0f + e);
  return {s, s * e};
}

}  // namespace

void geglu_forward(Stream& stream, const GluForward& args) {
  glu_forward(stream, args, [](Lanes gate) { return gate * shares_of(gate).s; });
}

void geglu_backward(Stream& stream, const GluBackward& args) {
  glu_backward(stream, args, [](Lanes gate) {
    const auto [s, rest] = shares_of(gate);
    const Lanes d_2u = twice_slope * (1.0f + 3.0f * cubic * gate * gate);
    return Activated{gate * s, s * (1.0f + gate * rest * d_2u)};
  });
}

}  // namespace ftl::FTL_CPU
