// Matrix products on one thread. A panel of op(B), two registers wide, is laid out contiguously once and multiplied
// with all rows of a block while it is in the first cache. An element of C is one chain of multiply-adds over k, cut
// where k alone says, so it has the same bits however C is cut into blocks, whatever rows stand beside it, and wherever
// the operands lie. Only <op>_cpu.cpp files include this.
//
// The idea of panels and register tiles: Goto and van de Geijn, "Anatomy of High-Performance Matrix Multiplication",
// 2008; here A is read in place, because a training step multiplies few rows with many frozen columns.
#pragma once

#include <algorithm>
#include <cstdint>
#include <type_traits>
#include <utility>

#include "kernels/cpu/lanes.h"
#include "kernels/kernel_table.h"

namespace ftl::FTL_CPU {

// A register tile: rows of C x two registers of columns. Twelve sums, two columns of B and one element of A fill the 16
// registers of AVX2 and SSE.
constexpr std::int64_t tile_rows = 6, panel_width = 2 * lane_count;

// The chain over k is cut into equal parts of at most this many, so that a panel (20 KiB) and six rows of A stay in a
// first cache of 32 KiB.
constexpr std::int64_t longest_chain = 320;
constexpr std::int64_t panel_floats = longest_chain * panel_width;  // scratch of a thread

constexpr std::int64_t chain_length(std::int64_t k) {
  const std::int64_t parts = k <= longest_chain ? 1 : (k + longest_chain - 1) / longest_chain;
  return ((k + parts - 1) / parts + 7) / 8 * 8;
}

inline Lanes load_wide(const float* from) { return load(from); }
// bfloat16 is the upper half of a float32.
inline Lanes load_wide(const std::uint16_t* from) {
  typedef std::uint16_t Halves __attribute__((vector_size(lane_count * 2)));
  Halves halves;
  std::memcpy(&halves, from, sizeof halves);
  return (Lanes)(__builtin_convertvector(halves, IntLanes) << 16);
}
inline float widened(float value) { return value; }
using ftl::widened;

// Exchanges the off-diagonal pieces of two rows of a square.
template <std::int64_t piece, std::size_t... lane>
void exchange(Lanes& upper, Lanes& lower, std::index_sequence<lane...>) {
  const Lanes first =
      __builtin_shufflevector(upper, lower, ((lane & piece) != 0 ? lane_count + lane - piece : lane)...);
  lower = __builtin_shufflevector(upper, lower, ((lane & piece) != 0 ? lane_count + lane : lane + piece)...);
  upper = first;
}

// Rows become columns, by log2 exchanges of ever longer pieces.
template <std::int64_t piece = 1>
void transpose(Lanes (&square)[lane_count]) {
  for (std::int64_t row = 0; row < lane_count; ++row) {
    if ((row & piece) == 0) exchange<piece>(square[row], square[row + piece], std::make_index_sequence<lane_count>());
  }
  if constexpr (2 * piece < lane_count) transpose<2 * piece>(square);
}

// panel[p][j] = op(B)[p][j] for p < k and j < columns, 0 for the columns that are not there.
// B as [columns, k], its rows `stride` apart.
template <class Element>
void pack_transposed(const Element* b, std::int64_t stride, std::int64_t columns, std::int64_t k, float* panel) {
  std::int64_t p = 0;
  if (columns == panel_width) {
    for (; p + lane_count <= k; p += lane_count) {
      for (std::int64_t half = 0; half < 2; ++half) {
        Lanes square[lane_count];
        const Element* from = b + half * lane_count * stride + p;
        for (std::int64_t i = 0; i < lane_count; ++i) square[i] = load_wide(from + i * stride);
        transpose(square);
        for (std::int64_t i = 0; i < lane_count; ++i)
          store(panel + (p + i) * panel_width + half * lane_count, square[i]);
      }
    }
  }
  for (; p < k; ++p) {
    float* const to = panel + p * panel_width;
    for (std::int64_t j = 0; j < panel_width; ++j) to[j] = j < columns ? widened(b[j * stride + p]) : 0;
  }
}

// B as [k, columns], its rows `stride` apart.
template <class Element>
void pack_in_order(const Element* b, std::int64_t stride, std::int64_t columns, std::int64_t k, float* panel) {
  for (std::int64_t p = 0; p < k; ++p) {
    const Element* const from = b + p * stride;
    float* const to = panel + p * panel_width;
    if (columns == panel_width) {
      store(to, load_wide(from));
      store(to + lane_count, load_wide(from + lane_count));
    } else {
      for (std::int64_t j = 0; j < panel_width; ++j) to[j] = j < columns ? widened(from[j]) : 0;
    }
  }
}

// What is the same for all register tiles of a panel.
struct PanelProduct {
  const float* panel;
  std::int64_t panel_stride;             // floats between its rows
  std::int64_t k;                        // rows of the panel
  std::int64_t row_stride, step_stride;  // of A: from row to row, from element to element of the chain
  std::int64_t ldc;
  std::int64_t columns;  // of C that are there
  float alpha, beta;
};

// c = alpha * sums + beta * c, where beta 0 means that c is not read.
inline void store_product(float* c, Lanes sums, const PanelProduct& product, std::int64_t columns) {
  Lanes value = sums * product.alpha;
  if (columns >= lane_count) {
    if (product.beta != 0) value = multiply_add(load(c), broadcast(product.beta), value);
    store(c, value);
  } else if (columns > 0) {
    if (product.beta != 0) value = multiply_add(load_some(c, columns, 0), broadcast(product.beta), value);
    store_some(c, value, columns);
  }
}

template <std::int64_t rows, bool contiguous>
void multiply_tile(const PanelProduct& product, const float* a, float* c) {
  Lanes left[rows], right[rows];
#pragma GCC unroll 6
  for (std::int64_t i = 0; i < rows; ++i) left[i] = right[i] = Lanes{};
  const float* b = product.panel;
  const std::int64_t step = contiguous ? 1 : product.step_stride, row_stride = contiguous ? product.row_stride : 1;
  for (std::int64_t p = 0; p < product.k; ++p, b += product.panel_stride, a += step) {
    const Lanes b_left = load(b), b_right = load(b + lane_count);
#pragma GCC unroll 6
    for (std::int64_t i = 0; i < rows; ++i) {
      const Lanes value = broadcast(a[i * row_stride]);
      left[i] = multiply_add(value, b_left, left[i]);
      right[i] = multiply_add(value, b_right, right[i]);
    }
  }
#pragma GCC unroll 6
  for (std::int64_t i = 0; i < rows; ++i) {
    store_product(c + i * product.ldc, left[i], product, product.columns);
    store_product(c + i * product.ldc + lane_count, right[i], product, product.columns - lane_count);
  }
}

template <bool contiguous>
void multiply_panel(const PanelProduct& product, const float* a, float* c, std::int64_t rows) {
  const std::int64_t row_stride = contiguous ? product.row_stride : 1;
  for (; rows >= tile_rows; rows -= tile_rows, a += tile_rows * row_stride, c += tile_rows * product.ldc)
    multiply_tile<tile_rows, contiguous>(product, a, c);
  switch (rows) {
    case 5: return multiply_tile<5, contiguous>(product, a, c);
    case 4: return multiply_tile<4, contiguous>(product, a, c);
    case 3: return multiply_tile<3, contiguous>(product, a, c);
    case 2: return multiply_tile<2, contiguous>(product, a, c);
    case 1: return multiply_tile<1, contiguous>(product, a, c);
    default: return;
  }
}

// Which part of a product a causal mask leaves. Column j of a score, and element j of the chain over it, stand for the
// key that row i sees as long as j <= i + ahead. What is left out would only have added zeros.
struct CausalPart {
  enum class Of {
    everything,
    scores,       // C [queries, keys]: only what is seen is computed, the rest of C stays what it was
    values,       // op(A) [queries, keys] is 0 for what is not seen
    key_gradient  // op(A) [keys, queries] is 0 for what is not seen
  } of = Of::everything;
  std::int64_t ahead = 0;
};

// The part [k0, k0 + product.k) of the chain, of all rows of C in the columns of one panel that starts at column j.
template <bool contiguous>
void multiply_causal_panel(PanelProduct product, const float* a, float* c, std::int64_t rows, std::int64_t j,
                           std::int64_t k0, const CausalPart& part) {
  const std::int64_t row_stride = contiguous ? product.row_stride : 1;
  if (part.of == CausalPart::Of::everything) return multiply_panel<contiguous>(product, a, c, rows);
  if (part.of == CausalPart::Of::scores) {
    const std::int64_t first = j > part.ahead ? j - part.ahead : 0;
    return multiply_panel<contiguous>(product, a + first * row_stride, c + first * product.ldc, rows - first);
  }
  for (std::int64_t row = 0; row < rows; row += tile_rows) {
    const std::int64_t here = rows - row < tile_rows ? rows - row : tile_rows;
    std::int64_t begin = 0, end = product.k;
    if (part.of == CausalPart::Of::values)
      end = std::clamp<std::int64_t>(row + here + part.ahead - k0, 0, product.k);
    else
      begin = std::clamp<std::int64_t>(row - part.ahead - k0, 0, product.k);
    PanelProduct seen = product;
    seen.panel += begin * product.panel_stride;
    seen.k = end - begin;
    multiply_panel<contiguous>(seen, a + row * row_stride + begin * (contiguous ? 1 : product.step_stride),
                               c + row * product.ldc, here);
  }
}

// Columns of C that stay in a second cache of 512 KiB, beside a part of the chain of all rows of A, while the parts of
// their chains are added.
constexpr std::int64_t columns_together(std::int64_t rows) {
  constexpr std::int64_t floats = 75 * 1024;
  return rows * panel_width >= floats ? panel_width : floats / rows / panel_width * panel_width;
}

// The lines of the panel after this one: its rows are too far apart for a processor to see them coming.
template <class Element>
void fetch_panel(const MatMul& args, const Element* b, std::int64_t j, std::int64_t k0, std::int64_t k) {
  constexpr std::int64_t line = 64 / sizeof(Element);
  const std::int64_t columns = args.n - j < panel_width ? args.n - j : panel_width;
  const std::int64_t rows = args.transpose_b ? columns : k, width = args.transpose_b ? k : columns;
  const Element* from = b + (args.transpose_b ? j * args.ldb + k0 : k0 * args.ldb + j);
  for (std::int64_t row = 0; row < rows; ++row, from += args.ldb)
    for (std::int64_t at = 0; at < width; at += line) __builtin_prefetch(from + at);
}

// Columns [begin, end) of C, the part [k0, k0 + k) of the chain.
template <class Element>
void multiply_columns(const MatMul& args, const Element* b, std::int64_t begin, std::int64_t end, std::int64_t k0,
                      std::int64_t k, const CausalPart& part, float* scratch) {
  // Laying a panel out pays when several tiles of rows use it.
  constexpr std::int64_t few_rows = 4 * tile_rows;
  constexpr bool readable_in_place = std::is_same_v<Element, float>;
  const float* const a = args.a + (args.transpose_a ? k0 * args.lda : k0);
  for (std::int64_t j = begin; j < end; j += panel_width) {
    PanelProduct product{.panel = scratch,
                         .panel_stride = panel_width,
                         .k = k,
                         .row_stride = args.lda,
                         .step_stride = args.lda,
                         .ldc = args.ldc,
                         .columns = args.n - j < panel_width ? args.n - j : panel_width,
                         .alpha = args.alpha,
                         .beta = k0 == 0 ? args.beta : 1};
    if (args.transpose_b) {
      pack_transposed(b + j * args.ldb + k0, args.ldb, product.columns, k, scratch);
    } else if (readable_in_place && args.m <= few_rows && product.columns == panel_width) {
      if constexpr (readable_in_place) product.panel = b + k0 * args.ldb + j;
      product.panel_stride = args.ldb;
    } else {
      pack_in_order(b + k0 * args.ldb + j, args.ldb, product.columns, k, scratch);
    }
    if (args.m > few_rows && j + panel_width < end) fetch_panel(args, b, j + panel_width, k0, k);
    if (args.transpose_a)
      multiply_causal_panel<false>(product, a, args.c + j, args.m, j, k0, part);
    else
      multiply_causal_panel<true>(product, a, args.c + j, args.m, j, k0, part);
  }
}

// The whole of args on the calling thread; scratch: [panel_floats].
template <class Element>
void multiply(const MatMul& args, const Element* b, float* scratch, const CausalPart& part) {
  const std::int64_t chain = chain_length(args.k), together = columns_together(args.m);
  for (std::int64_t j = 0; j < args.n; j += together) {
    const std::int64_t end = args.n - j < together ? args.n : j + together;
    for (std::int64_t k0 = 0; k0 == 0 || k0 < args.k; k0 += chain) {
      multiply_columns(args, b, j, end, k0, args.k - k0 < chain ? args.k - k0 : chain, part, scratch);
      if (args.k == 0) break;
    }
  }
}

inline void multiply(const MatMul& args, float* scratch, const CausalPart& part = {}) {
  if (args.b.f32 != nullptr)
    multiply(args, args.b.f32, scratch, part);
  else
    multiply(args, args.b.bf16, scratch, part);
}

}  // namespace ftl::FTL_CPU
