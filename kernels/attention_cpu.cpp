#include <cmath>

#include "kernels/attention.h"
#include "kernels/cpu/cpu_stream.h"
#include "kernels/cpu/lanes.h"
#include "kernels/cpu/product.h"

namespace ftl::FTL_CPU {
namespace {

// Rows and columns of a block of scores; two of them and its row statistics fit a thread's scratch.
constexpr std::int64_t block = 128;
static_assert(2 * block * block + 2 * block <= CpuStream::block_floats);

std::int64_t smaller(std::int64_t a, std::int64_t b) { return a < b ? a : b; }
std::int64_t larger(std::int64_t a, std::int64_t b) { return a > b ? a : b; }

// The first key that a query at `position` sees.
std::int64_t first_seen(std::int64_t position, std::int64_t window) {
  return window == 0 || position < window ? 0 : position + 1 - window;
}

// Which of `columns` from column j0 on a query at `position` sees.
struct Seen {
  std::int64_t begin, end;
  bool nothing() const { return begin == end; }
};
Seen seen_of(std::int64_t position, std::int64_t window, std::int64_t j0, std::int64_t columns) {
  const std::int64_t end = smaller(larger(position + 1 - j0, 0), columns);
  return {smaller(larger(first_seen(position, window) - j0, 0), end), end};
}

// x = e^(x - shift) for what is seen of `columns`, 0 for the rest; the sum.
float exponentials(float* x, const Seen& seen, std::int64_t columns, float shift) {
  Lanes sum{};
  std::int64_t i = 0;
  for (; i < seen.begin; ++i) x[i] = 0;
  for (; i + lane_count <= seen.end; i += lane_count) {
    const Lanes e = exponential(load(x + i) - shift);
    sum += e;
    store(x + i, e);
  }
  if (i < seen.end) {
    const Lanes e = exponential(load_some(x + i, seen.end - i, -__builtin_inff()) - shift);
    for (std::int64_t lane = 0; lane < seen.end - i; ++lane) sum[lane] += e[lane];
    store_some(x + i, e, seen.end - i);
  }
  for (i = seen.end; i < columns; ++i) x[i] = 0;
  return sum_of(sum);
}

void scale_row(float* x, std::int64_t count, float factor) {
  for (std::int64_t i = 0; i < count; ++i) x[i] *= factor;
}

// One block of query rows of one head: passes over the columns with a running maximum and sum per row; what was summed
// under a smaller maximum is scaled down when a larger one is met. Blocks of keys before the window of every row are
// not visited; a row may see nothing of the first block that is, for its own window may begin later.
void forward_block(const AttentionForward& args, std::int64_t head, std::int64_t i0,
                   const CpuStream::Scratch& scratch) {
  const std::int64_t d = args.head_dim, stride = args.heads * d, kv_stride = args.kv_heads * d;
  const std::int64_t rows = smaller(block, args.rows - i0), kv = head / (args.heads / args.kv_heads) * d;
  const std::int64_t limit = args.first_position + i0 + rows;
  const std::int64_t first_block = first_seen(args.first_position + i0, args.window) / block * block;
  using Of = CausalPart::Of;
  float *s = scratch.blocks, *maximum = s + block * block, *sum = maximum + block;
  float* out = args.out + i0 * stride + head * d;
  for (std::int64_t row = 0; row < rows; ++row) maximum[row] = -__builtin_inff(), sum[row] = 0;
  for (std::int64_t j0 = first_block; j0 < limit; j0 += block) {
    const std::int64_t columns = smaller(block, limit - j0), ahead = args.first_position + i0 - j0;
    multiply({.a = args.q + i0 * stride + head * d,
              .b = {.f32 = args.k + j0 * kv_stride + kv},
              .c = s,
              .m = rows,
              .n = columns,
              .k = d,
              .lda = stride,
              .ldb = kv_stride,
              .ldc = block,
              .transpose_a = false,
              .transpose_b = true,
              .alpha = args.scale,
              .beta = 0},
             scratch.panel, {Of::scores, ahead});
    for (std::int64_t row = 0; row < rows; ++row) {
      float* scores = s + row * block;
      const Seen seen = seen_of(args.first_position + i0 + row, args.window, j0, columns);
      if (args.soft_cap != 0) cap_softly(scores + seen.begin, seen.end - seen.begin, args.soft_cap);
      const float largest_here = largest_in(scores + seen.begin, seen.end - seen.begin);
      const bool first = sum[row] == 0;
      const float largest = first || largest_here > maximum[row] ? largest_here : maximum[row];
      const float added = exponentials(scores, seen, columns, largest);
      if (seen.nothing()) continue;
      if (first) {
        sum[row] = added;
      } else if (const float shrink = exponential(maximum[row] - largest); shrink != 1.0f) {
        sum[row] = sum[row] * shrink + added;
        scale_row(out + row * stride, d, shrink);
      } else {
        sum[row] += added;
      }
      maximum[row] = largest;
    }
    multiply({.a = s,
              .b = {.f32 = args.v + j0 * kv_stride + kv},
              .c = out,
              .m = rows,
              .n = d,
              .k = columns,
              .lda = block,
              .ldb = kv_stride,
              .ldc = stride,
              .transpose_a = false,
              .transpose_b = false,
              .alpha = 1,
              .beta = j0 == first_block ? 0.0f : 1.0f},
             scratch.panel, {Of::values, ahead});
  }
  for (std::int64_t row = 0; row < rows; ++row) {
    scale_row(out + row * stride, d, 1 / sum[row]);
    args.log_sum_exp[head * args.rows + i0 + row] = maximum[row] + std::log(sum[row]);
  }
}

// Where the gradients of one query head's keys and values go, and the row sums of d_out out.
struct HeadGradients {
  float *dk, *dv;
  std::int64_t stride;
  const float* row_sums;
};

// One row of a block: scores become P = e^(S - log_sum_exp), dP becomes dS = P (dP - D), times what the soft cap S =
// cap tanh(s / cap) leaves of it, 1 - (S / cap)^2, and the scale. Both are 0 for what is not seen.
void score_gradient(const AttentionBackward& args, float* s, float* dp, const Seen& seen, std::int64_t columns,
                    float log_sum_exp, float row_sum) {
  for (std::int64_t j = 0; j < seen.begin; ++j) dp[j] = 0;
  for (std::int64_t j = seen.end; j < columns; ++j) dp[j] = 0;
  if (args.soft_cap != 0) {
    cap_softly(s + seen.begin, seen.end - seen.begin, args.soft_cap);
    for (std::int64_t j = seen.begin; j < seen.end; ++j) {
      const float t = s[j] / args.soft_cap;
      dp[j] = (dp[j] - row_sum) * (1 - t * t);
    }
  } else {
    for (std::int64_t j = seen.begin; j < seen.end; ++j) dp[j] -= row_sum;
  }
  exponentials(s, seen, columns, log_sum_exp);
  for (std::int64_t j = seen.begin; j < seen.end; ++j) dp[j] = s[j] * dp[j] * args.scale;
}

// P and dS of one block, and what they add to dq, dk and dv.
void backward_block(const AttentionBackward& args, std::int64_t head, std::int64_t i0, std::int64_t j0,
                    const HeadGradients& to, const CpuStream::Scratch& scratch) {
  const std::int64_t d = args.head_dim, stride = args.heads * d, kv_stride = args.kv_heads * d;
  const std::int64_t rows = smaller(block, args.rows - i0), columns = smaller(block, args.rows - j0);
  const std::int64_t at = i0 * stride + head * d, kv = j0 * kv_stride + head / (args.heads / args.kv_heads) * d;
  const std::int64_t first_block = first_seen(i0, args.window) / block * block;
  float *p = scratch.blocks, *ds = p + block * block;
  using Of = CausalPart::Of;
  const CausalPart seen_scores{Of::scores, i0 - j0};
  const MatMul scores{.a = args.q + at,
                      .b = {.f32 = args.k + kv},
                      .c = p,
                      .m = rows,
                      .n = columns,
                      .k = d,
                      .lda = stride,
                      .ldb = kv_stride,
                      .ldc = block,
                      .transpose_a = false,
                      .transpose_b = true,
                      .alpha = args.scale,
                      .beta = 0};
  multiply(scores, scratch.panel, seen_scores);
  MatMul dp = scores;
  dp.a = args.d_out + at, dp.b.f32 = args.v + kv, dp.c = ds, dp.alpha = 1;
  multiply(dp, scratch.panel, seen_scores);
  for (std::int64_t row = 0; row < rows; ++row) {
    score_gradient(args, p + row * block, ds + row * block, seen_of(i0 + row, args.window, j0, columns), columns,
                   args.log_sum_exp[head * args.rows + i0 + row], to.row_sums[i0 + row]);
  }

  MatMul to_columns{.a = p,
                    .b = {.f32 = args.d_out + at},
                    .c = to.dv + j0 * to.stride,
                    .m = columns,
                    .n = d,
                    .k = rows,
                    .lda = block,
                    .ldb = stride,
                    .ldc = to.stride,
                    .transpose_a = true,
                    .transpose_b = false,
                    .alpha = 1,
                    .beta = i0 == j0 ? 0.0f : 1.0f};
  multiply(to_columns, scratch.panel, {Of::key_gradient, i0 - j0});
  to_columns.a = ds, to_columns.b.f32 = args.q + at, to_columns.c = to.dk + j0 * to.stride;
  multiply(to_columns, scratch.panel, {Of::key_gradient, i0 - j0});
  multiply({.a = ds,
            .b = {.f32 = args.k + kv},
            .c = args.dq + at,
            .m = rows,
            .n = d,
            .k = columns,
            .lda = block,
            .ldb = kv_stride,
            .ldc = stride,
            .transpose_a = false,
            .transpose_b = false,
            .alpha = 1,
            .beta = j0 == first_block ? 0.0f : 1.0f},
           scratch.panel, {Of::values, i0 - j0});
}

float row_sum(const float* x, const float* y, std::int64_t count) {
  Lanes sum{};
  std::int64_t i = 0;
  for (; i + lane_count <= count; i += lane_count) sum = multiply_add(load(x + i), load(y + i), sum);
  if (i < count) sum = multiply_add(load_some(x + i, count - i, 0), load_some(y + i, count - i, 0), sum);
  return sum_of(sum);
}

void add_part(float* __restrict to, const float* __restrict from, std::int64_t count, bool first) {
  for (std::int64_t i = 0; i < count; ++i) to[i] = first ? from[i] : to[i] + from[i];
}

}  // namespace

void attention_forward(Stream& stream, const AttentionForward& args) {
  CpuStream& on = cpu(stream);
  const std::int64_t blocks = (args.rows + block - 1) / block;
  on.parallel_for(args.heads * blocks, [&](std::int64_t index, int thread) {
    const std::int64_t longest_first = blocks - 1 - index / args.heads;
    forward_block(args, index % args.heads, longest_first * block, on.scratch(thread));
  });
}

// A head is one thread's. Where query heads share a kv head, each writes its part of dk and dv into scratch, and the
// parts are added in the order of the heads.
void attention_backward(Stream& stream, const AttentionBackward& args) {
  CpuStream& on = cpu(stream);
  const std::int64_t d = args.head_dim, group = args.heads / args.kv_heads, kv_width = args.kv_heads * d;
  float* const row_sums = args.scratch;                           // [heads, rows]
  float* const dk_parts = row_sums + args.heads * args.rows;      // [heads, rows, head_dim]
  float* const dv_parts = dk_parts + args.heads * args.rows * d;  // [heads, rows, head_dim]
  on.parallel_for(args.heads, [&](std::int64_t head, int thread) {
    for (std::int64_t row = 0; row < args.rows; ++row) {
      const std::int64_t at = (row * args.heads + head) * d;
      row_sums[head * args.rows + row] = row_sum(args.d_out + at, args.out + at, d);
    }
    const float* sums = row_sums + head * args.rows;
    const HeadGradients to =
        group == 1 ? HeadGradients{args.dk + head * d, args.dv + head * d, kv_width, sums}
                   : HeadGradients{dk_parts + head * args.rows * d, dv_parts + head * args.rows * d, d, sums};
    for (std::int64_t j0 = 0; j0 < args.rows; j0 += block) {
      for (std::int64_t i0 = j0; i0 < args.rows && first_seen(i0, args.window) < j0 + block; i0 += block) {
        backward_block(args, head, i0, j0, to, on.scratch(thread));
        if (thread == CpuStream::calling_thread) on.piece_done();
      }
    }
  });
  if (group == 1) return;
  on.parallel_blocks(args.rows, 32, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row) {
      for (std::int64_t kv_head = 0; kv_head < args.kv_heads; ++kv_head) {
        const std::int64_t to = row * kv_width + kv_head * d;
        for (std::int64_t member = 0; member < group; ++member) {
          const std::int64_t from = ((kv_head * group + member) * args.rows + row) * d;
          add_part(args.dk + to, dk_parts + from, d, member == 0);
          add_part(args.dv + to, dv_parts + from, d, member == 0);
        }
      }
    }
  });
}

}  // namespace ftl::FTL_CPU
