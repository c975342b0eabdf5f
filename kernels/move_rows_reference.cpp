#include "kernels/move_rows.h"

namespace ftl {

void gather_rows_reference(const GatherRows& args) {
  for (std::int64_t row = 0; row < args.rows; ++row) {
    for (std::int64_t i = 0; i < args.width; ++i)
      args.y[row * args.width + i] = args.x[args.indices[row] * args.width + i];
  }
}

void scatter_rows_reference(const ScatterRows& args) {
  for (std::int64_t row = 0; row < args.rows; ++row) {
    for (std::int64_t i = 0; i < args.width; ++i)
      args.y[args.indices[row] * args.width + i] += args.x[row * args.width + i];
  }
}

}  // namespace ftl
