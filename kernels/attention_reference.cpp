#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/attention.h"

namespace ftl {
namespace {

double dot(const float* x, const float* y, std::int64_t count) {
  double sum = 0;
  for (std::int64_t i = 0; i < count; ++i) sum += static_cast<double>(x[i]) * y[i];
  return sum;
}

// Keys before this one are outside the window of a query at `position`.
std::int64_t first_seen(std::int64_t position, std::int64_t window) {
  return window > 0 ? std::max<std::int64_t>(0, position - window + 1) : 0;
}

double capped(double score, double cap) { return cap == 0 ? score : cap * std::tanh(score / cap); }

}  // namespace

// dk and dv of every head, and the row sums of d_out out.
std::int64_t attention_scratch_floats(std::int64_t rows, std::int64_t heads, std::int64_t head_dim) {
  return rows * heads * (2 * head_dim + 1);
}

void attention_forward_reference(const AttentionForward& args) {
  const std::int64_t d = args.head_dim, group = args.heads / args.kv_heads;
  std::vector<double> p(static_cast<std::size_t>(args.kv_rows)), out(static_cast<std::size_t>(d));
  for (std::int64_t head = 0; head < args.heads; ++head) {
    for (std::int64_t row = 0; row < args.rows; ++row) {
      const std::int64_t visible = args.first_position + row + 1, at = (row * args.heads + head) * d;
      const auto kv = [&](std::int64_t j) { return (j * args.kv_heads + head / group) * d; };
      double largest = -INFINITY, sum = 0;
      const std::int64_t first = first_seen(args.first_position + row, args.window);
      for (std::int64_t j = first; j < visible; ++j) {
        p[j] = capped(args.scale * dot(args.q + at, args.k + kv(j), d), args.soft_cap);
        largest = p[j] > largest ? p[j] : largest;
      }
      out.assign(out.size(), 0.0);
      for (std::int64_t j = first; j < visible; ++j) {
        const double e = std::exp(p[j] - largest);
        sum += e;
        for (std::int64_t i = 0; i < d; ++i) out[i] += e * args.v[kv(j) + i];
      }
      for (std::int64_t i = 0; i < d; ++i) args.out[at + i] = static_cast<float>(out[i] / sum);
      args.log_sum_exp[head * args.rows + row] = static_cast<float>(largest + std::log(sum));
    }
  }
}

void attention_backward_reference(const AttentionBackward& args) {
  const std::int64_t d = args.head_dim, group = args.heads / args.kv_heads;
  std::vector<double> dq(static_cast<std::size_t>(args.rows * args.heads * d));
  std::vector<double> dk(static_cast<std::size_t>(args.rows * args.kv_heads * d)), dv(dk.size());
  for (std::int64_t head = 0; head < args.heads; ++head) {
    for (std::int64_t row = 0; row < args.rows; ++row) {
      const std::int64_t at = (row * args.heads + head) * d;
      const double row_sum = dot(args.d_out + at, args.out + at, d);
      for (std::int64_t j = first_seen(row, args.window); j <= row; ++j) {
        const std::int64_t kv = (j * args.kv_heads + head / group) * d;
        const double s = capped(args.scale * dot(args.q + at, args.k + kv, d), args.soft_cap);
        const double slope = args.soft_cap == 0 ? 1 : 1 - s / args.soft_cap * (s / args.soft_cap);
        const double p = std::exp(s - args.log_sum_exp[head * args.rows + row]);
        const double ds = p * (dot(args.d_out + at, args.v + kv, d) - row_sum) * slope * args.scale;
        for (std::int64_t i = 0; i < d; ++i) {
          dv[kv + i] += p * args.d_out[at + i];
          dq[at + i] += ds * args.k[kv + i];
          dk[kv + i] += ds * args.q[at + i];
        }
      }
    }
  }
  for (std::size_t i = 0; i < dq.size(); ++i) args.dq[i] = static_cast<float>(dq[i]);
  for (std::size_t i = 0; i < dk.size(); ++i) args.dk[i] = static_cast<float>(dk[i]);
  for (std::size_t i = 0; i < dv.size(); ++i) args.dv[i] = static_cast<float>(dv[i]);
}

}  // namespace ftl
