// y = activation(gate) * up and its gradients, element by element, whatever the activation. A kernel gives the
// activation's value and slope on a register. Only <op>_cpu.cpp files include this.
#pragma once

#include <cstdint>

#include "kernels/cpu/cpu_stream.h"
#include "kernels/cpu/lanes.h"
#include "kernels/kernel_table.h"

namespace ftl::FTL_CPU {

constexpr std::int64_t glu_block = 8192;  // elements that a thread takes at a time

struct Activated {
  Lanes value, slope;
};

// `value`: Lanes(Lanes gate)
template <class Value>
void glu_forward(Stream& stream, const GluForward& args, const Value& value) {
  cpu(stream).parallel_blocks(args.count, glu_block, [&](std::int64_t begin, std::int64_t end) {
    std::int64_t i = begin;
    for (; i + lane_count <= end; i += lane_count) store(args.y + i, value(load(args.gate + i)) * load(args.up + i));
    if (i < end) {
      const std::int64_t rest = end - i;
      store_some(args.y + i, value(load_some(args.gate + i, rest, 0)) * load_some(args.up + i, rest, 0), rest);
    }
  });
}

// `activated`: Activated(Lanes gate)
template <class Function>
void glu_backward(Stream& stream, const GluBackward& args, const Function& activated) {
  cpu(stream).parallel_blocks(args.count, glu_block, [&](std::int64_t begin, std::int64_t end) {
    std::int64_t i = begin;
    for (; i + lane_count <= end; i += lane_count) {
      const Activated at = activated(load(args.gate + i));
      const Lanes up = load(args.up + i), dy = load(args.dy + i);
      store(args.d_gate + i, dy * up * at.slope);
      store(args.d_up + i, dy * at.value);
    }
    if (i < end) {
      const std::int64_t rest = end - i;
      const Activated at = activated(load_some(args.gate + i, rest, 0));
      const Lanes up = load_some(args.up + i, rest, 0), dy = load_some(args.dy + i, rest, 0);
      store_some(args.d_gate + i, dy * up * at.slope, rest);
      store_some(args.d_up + i, dy * at.value, rest);
    }
  });
}

}  // namespace ftl::FTL_CPU
