#include "kernels/matmul.h"

#include "kernels/cpu/cpu_stream.h"
#include "kernels/cpu/product.h"

namespace ftl::FTL_CPU {
namespace {

static_assert(panel_floats <= CpuStream::panel_floats);

constexpr std::int64_t parts(std::int64_t size, std::int64_t part) { return (size + part - 1) / part; }
constexpr std::int64_t equal_part(std::int64_t size, std::int64_t count, std::int64_t step) {
  return parts(parts(size, count), step) * step;
}

// Rows of A that stay in a second cache of 512 KiB beside a panel.
constexpr std::int64_t most_rows = 43 * tile_rows;
// Multiplications below which a piece is not worth a thread's attention, and pieces a thread so that none waits long.
constexpr std::int64_t smallest_work = 1 << 18, pieces_a_thread = 4;
// Multiplications after which a sign of life is due: a tenth of a second on a slow core.
constexpr std::int64_t largest_work = 1 << 29;

struct Pieces {
  std::int64_t rows, columns;  // of one piece
};

// How C is cut has no influence on its bits (product.h), so it may follow the number of threads.
Pieces pieces_of(const MatMul& args, int threads) {
  const std::int64_t work = args.m * args.n * args.k;
  const std::int64_t shared =
      threads == 1 ? 1 : std::min<std::int64_t>(threads * pieces_a_thread, work / smallest_work + 1);
  const std::int64_t wanted = std::max(shared, parts(work, largest_work));
  const std::int64_t down = parts(args.m, most_rows),
                     across = std::min(parts(wanted, down), parts(args.n, panel_width));
  const std::int64_t further_down = parts(wanted, down * across);
  return {equal_part(args.m, down * further_down, tile_rows), equal_part(args.n, across, panel_width)};
}

MatMul piece_at(const MatMul& args, const Pieces& size, std::int64_t row, std::int64_t column) {
  MatMul piece = args;
  piece.a += args.transpose_a ? row : row * args.lda;
  const std::int64_t b = args.transpose_b ? column * args.ldb : column;
  if (args.b.f32 != nullptr)
    piece.b.f32 += b;
  else
    piece.b.bf16 += b;
  piece.c += row * args.ldc + column;
  piece.m = std::min(args.m - row, size.rows);
  piece.n = std::min(args.n - column, size.columns);
  return piece;
}

}  // namespace

void matmul(Stream& stream, const MatMul& args) {
  if (args.m == 0 || args.n == 0) return;
  CpuStream& on = cpu(stream);
  const Pieces size = pieces_of(args, on.threads());
  const std::int64_t down = parts(args.m, size.rows), across = parts(args.n, size.columns);
  on.parallel_for(down * across, [&](std::int64_t index, int thread) {
    // Down first: neighbours in time share the columns of B, usually the larger operand.
    multiply(piece_at(args, size, index % down * size.rows, index / down * size.columns), on.scratch(thread).panel);
  });
}

}  // namespace ftl::FTL_CPU
