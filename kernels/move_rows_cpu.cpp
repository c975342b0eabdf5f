#include <cstring>

#include "kernels/cpu/cpu_stream.h"
#include "kernels/move_rows.h"

namespace ftl::FTL_CPU {
namespace {

constexpr std::int64_t rows_a_block = 64;

}  // namespace

void gather_rows(Stream& stream, const GatherRows& args) {
  cpu(stream).parallel_blocks(args.rows, rows_a_block, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row) {
      std::memcpy(args.y + row * args.width, args.x + args.indices[row] * args.width,
                  static_cast<std::size_t>(args.width) * sizeof(float));
    }
  });
}

void scatter_rows(Stream& stream, const ScatterRows& args) {
  cpu(stream).parallel_blocks(args.rows, rows_a_block, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row) {  // distinct indices: no two blocks write one row
      const float* from = args.x + row * args.width;
      float* to = args.y + args.indices[row] * args.width;
      for (std::int64_t i = 0; i < args.width; ++i) to[i] += from[i];
    }
  });
}

}  // namespace ftl::FTL_CPU
