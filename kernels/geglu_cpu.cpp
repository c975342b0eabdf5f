#include "kernels/cpu/cpu_stream.h"
#include "kernels/cpu/lanes.h"
#include "kernels/geglu.h"

namespace ftl::FTL_CPU {
namespace {

constexpr std::int64_t block = 8192;
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
  cpu(stream).parallel_blocks(args.count, block, [&](std::int64_t begin, std::int64_t end) {
    std::int64_t i = begin;
    for (; i + lane_count <= end; i += lane_count) {
      const Lanes gate = load(args.gate + i);
      store(args.y + i, gate * shares_of(gate).s * load(args.up + i));
    }
    if (i < end) {
      const Lanes gate = load_some(args.gate + i, end - i, 0);
      store_some(args.y + i, gate * shares_of(gate).s * load_some(args.up + i, end - i, 0), end - i);
    }
  });
}

void geglu_backward(Stream& stream, const GluBackward& args) {
  cpu(stream).parallel_blocks(args.count, block, [&](std::int64_t begin, std::int64_t end) {
    struct Gradients {
      Lanes gate, up;
    };
    const auto gradients = [](Lanes gate, Lanes up, Lanes dy) {
      const auto [s, rest] = shares_of(gate);
      const Lanes d_2u = twice_slope * (1.0f + 3.0f * cubic * gate * gate);
      return Gradients{dy * up * s * (1.0f + gate * rest * d_2u), dy * gate * s};
    };
    std::int64_t i = begin;
    for (; i + lane_count <= end; i += lane_count) {
      const Gradients d = gradients(load(args.gate + i), load(args.up + i), load(args.dy + i));
      store(args.d_gate + i, d.gate);
      store(args.d_up + i, d.up);
    }
    if (i < end) {
      const std::int64_t rest = end - i;
      const Gradients d = gradients(load_some(args.gate + i, rest, 0), load_some(args.up + i, rest, 0),
                                    load_some(args.dy + i, rest, 0));
      store_some(args.d_gate + i, d.gate, rest);
      store_some(args.d_up + i, d.up, rest);
    }
  });
}

}  // namespace ftl::FTL_CPU
