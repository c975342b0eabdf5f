#include "kernels/cpu/cpu_stream.h"
#include "kernels/cpu/lanes.h"
#include "kernels/elementwise.h"

namespace ftl::FTL_CPU {
namespace {

constexpr std::int64_t block = 32768;  // 128 KiB: a few microseconds

}  // namespace

void fill(Stream& stream, const Fill& args) {
  cpu(stream).parallel_blocks(args.count, block, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) args.y[i] = args.value;
  });
}

void add(Stream& stream, const Add& args) {
  cpu(stream).parallel_blocks(args.count, block, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) args.y[i] += args.scale * args.x[i];
  });
}

void scale(Stream& stream, const Scale& args) {
  cpu(stream).parallel_blocks(args.count, block, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) args.y[i] *= args.scale;
  });
}

void soft_cap(Stream& stream, const SoftCap& args) {
  cpu(stream).parallel_blocks(args.count, block, [&](std::int64_t begin, std::int64_t end) {
    cap_softly(args.y + begin, end - begin, args.soft_cap);
  });
}

}  // namespace ftl::FTL_CPU
