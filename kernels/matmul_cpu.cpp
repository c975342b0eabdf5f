#include "kernels/cpu/cpu_stream.h"
#include "kernels/cpu/sgemm.h"
#include "kernels/matmul.h"

namespace ftl::FTL_CPU {
namespace {

struct TileShape {
  std::int64_t rows, columns;
};

std::int64_t rounded_up(std::int64_t value, std::int64_t step) { return (value + step - 1) / step * step; }

// At most 256 x 256, then cut until there are 8 tiles for threads to share, but never below a million multiplications,
// so that starting threads costs little. One sweep on a shared 2-core Zen 3 (256 x 576 x 576, one thread, best of
// many): whole 72 GFLOP/s, tiles of 256 x 256 70, 256 x 64 65, 64 x 64 55, and 89 for a 1024 cube. The count of 8 and
// the least work are judgement, not measured. Whatever is chosen, it may depend on the shape alone.
TileShape tile_shape(const MatMul& args) {
  constexpr std::int64_t largest = 256, step = 32, wanted_tiles = 8, smallest_work = 1 << 20;
  const auto tiles = [](std::int64_t size, std::int64_t tile) { return (size + tile - 1) / tile; };
  std::int64_t row_cuts = tiles(args.m, largest), column_cuts = tiles(args.n, largest);
  const auto tile = [&](std::int64_t size, std::int64_t cuts) { return rounded_up((size + cuts - 1) / cuts, step); };
  TileShape shape{tile(args.m, row_cuts), tile(args.n, column_cuts)};
  while (tiles(args.m, shape.rows) * tiles(args.n, shape.columns) < wanted_tiles) {
    if (shape.rows <= step && shape.columns <= step) break;
    const bool cut_rows = shape.columns <= step || shape.rows >= 2 * shape.columns;
    TileShape smaller = cut_rows ? TileShape{tile(args.m, ++row_cuts), shape.columns}
                                 : TileShape{shape.rows, tile(args.n, ++column_cuts)};
    if (smaller.rows * smaller.columns * args.k < smallest_work) break;
    shape = smaller;
  }
  return shape;
}

}  // namespace

void matmul(Stream& stream, const MatMul& args) {
  if (args.m == 0 || args.n == 0) return;
  const TileShape shape = tile_shape(args);
  const std::int64_t tiles_down = (args.m + shape.rows - 1) / shape.rows;
  const std::int64_t tiles_across = (args.n + shape.columns - 1) / shape.columns;
  cpu(stream).pool().parallel_for(tiles_down * tiles_across, [&](std::int64_t index, int) {
    // Down first: neighbours in time share the columns of B, usually the larger operand.
    const std::int64_t row = index % tiles_down * shape.rows, column = index / tiles_down * shape.columns;
    MatMul tile = args;
    tile.a += args.transpose_a ? row : row * args.lda;
    tile.b += args.transpose_b ? column * args.ldb : column;
    tile.c += row * args.ldc + column;
    tile.m = args.m - row < shape.rows ? args.m - row : shape.rows;
    tile.n = args.n - column < shape.columns ? args.n - column : shape.columns;
    sgemm(tile);
  });
}

}  // namespace ftl::FTL_CPU
