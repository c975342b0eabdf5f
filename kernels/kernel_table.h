// The operations a device offers, as plain functions over plain arguments. Every operation has a reference beside it
// (<op>_reference.cpp, plain loops in the order of the formula, the specification and the test oracle), a production
// CPU path (<op>_cpu.cpp) and, on GPUs, a kernel (<op>.cuh). All matrices are row-major and contiguous, all pointers
// are memory of the device, float32 unless said otherwise.
//
// Exactness: what an operation computes depends on its arguments alone, never on the number of threads of its stream.
// Work is spread over threads by output elements only, and an element of a matrix product is one chain of multiply-adds
// whatever else is computed beside it (kernels/cpu/product.h).
#pragma once

#include <bit>
#include <cstdint>

namespace ftl {

class Stream;  // kernels/device.h

// A matrix that is only read, as it is stored: float32, or bfloat16 that is widened (exactly) where it is used. One of
// the two is null.
struct StoredMatrix {
  const float* f32 = nullptr;
  const std::uint16_t* bf16 = nullptr;
};
inline float widened(std::uint16_t bf16) { return std::bit_cast<float>(static_cast<std::uint32_t>(bf16) << 16); }
inline float element(const StoredMatrix& matrix, std::int64_t at) {
  return matrix.f32 != nullptr ? matrix.f32[at] : widened(matrix.bf16[at]);
}

// y = table[ids]                     ids: [rows] int32 in [0, vocabulary)   table: [vocabulary, width]   y: [rows,
// width]
struct EmbeddingForward {
  const std::int32_t* ids;
  StoredMatrix table;
  float* y;
  std::int64_t rows, width;
};
// d_table[ids[i]] += dy[i], for i ascending
struct EmbeddingBackward {
  const std::int32_t* ids;
  const float* dy;
  float* d_table;
  std::int64_t rows, width, vocabulary;
};

// y = x * (gain_offset + gain) / sqrt(mean(x^2) + epsilon)      x, y: [rows, width]   gain: [width]
// inverse_rms: [rows] (saved for backward)
struct RmsNormForward {
  const float* x;
  const float* gain;
  float* y;
  float* inverse_rms;
  std::int64_t rows, width;
  float epsilon;
  float gain_offset = 0;
};
// dx (= or += by `accumulate`) ; d_gain += sum over rows, rows ascending, when d_gain is not null
struct RmsNormBackward {
  const float* x;
  const float* gain;
  const float* inverse_rms;
  const float* dy;
  float* dx;
  float* d_gain;
  std::int64_t rows, width;
  bool accumulate;
  float gain_offset = 0;
};

// C = alpha * op(A) * op(B) + beta * C      op(A): [m, k]   op(B): [k, n]   C: [m, n] with row stride ldc
// Linear layers store W as [out, in]: forward y = x W^T is transpose_b; dx = dy W has none; dW = dy^T x is transpose_a.
struct MatMul {
  const float* a;
  StoredMatrix b;
  float* c;
  std::int64_t m, n, k;
  std::int64_t lda, ldb, ldc;
  bool transpose_a, transpose_b;
  float alpha, beta;
};

// y += bias in every row      bias: [width]   y: [rows, width]
struct BiasForward {
  const float* bias;
  float* y;
  std::int64_t rows, width;
};
// d_bias += sum over rows of dy, rows ascending
struct BiasBackward {
  const float* dy;
  float* d_bias;
  std::int64_t rows, width;
};

// Rotates pairs (i, i + head_dim/2) of every head in place by angle position * inverse_frequency[i] (Hugging Face's
// half-split layout); backward is the rotation by the negative angle. Where cosine and sine carry a common factor, both
// directions multiply by it, as the transpose does.  x: [rows, heads, head_dim]   cosine, sine: [positions, head_dim/2]
struct Rope {
  float* x;
  const float* cosine;
  const float* sine;
  std::int64_t rows, heads, head_dim, first_position;
  bool backward;
};

// Causal grouped-query attention of one sequence; query head h uses kv head h / (heads / kv_heads).
// q: [rows, heads, head_dim]   k, v: [kv_rows, kv_heads, head_dim]   out: like q   log_sum_exp: [heads, rows] (saved)
// Query row i is position p = first_position + i and sees kv rows 0 .. p (training: first_position = 0, kv_rows =
// rows); with a window, the last `window` of them. Scores are s = scale q k, with a soft cap s = soft_cap tanh(scale q
// k / soft_cap).
struct AttentionForward {
  const float* q;
  const float* k;
  const float* v;
  float* out;
  float* log_sum_exp;
  std::int64_t rows, kv_rows, heads, kv_heads, head_dim, first_position;
  float scale;
  std::int64_t window = 0;  // 0: none
  float soft_cap = 0;       // 0: none
};
// Training only (first_position = 0, kv_rows = rows). dq, dk, dv are overwritten. scratch: see
// attention_scratch_floats().
struct AttentionBackward {
  const float* q;
  const float* k;
  const float* v;
  const float* out;
  const float* log_sum_exp;
  const float* d_out;
  float* dq;
  float* dk;
  float* dv;
  float* scratch;
  std::int64_t rows, heads, kv_heads, head_dim;
  float scale;
  std::int64_t window = 0;  // 0: none
  float soft_cap = 0;       // 0: none
};

// y = f(gate) * up      gate, up, y: [count]      f: silu (swiglu), or gelu in its approximation by tanh (geglu)
struct GluForward {
  const float* gate;
  const float* up;
  float* y;
  std::int64_t count;
};
struct GluBackward {
  const float* gate;
  const float* up;
  const float* dy;
  float* d_gate;
  float* d_up;
  std::int64_t count;
};

// Rows are already only those with a target. loss_sum[0] = sum over rows of -log softmax(logits)[target], rows
// ascending, in double inside and float32 outside; logits are overwritten by d_logits = softmax - onehot (unnormalised
// by any token count) when `backward`.   logits: [rows, vocabulary]   targets: [rows] int32   row_losses: [rows] or
// null (losses as float32). With a soft cap the softmax is of soft_cap tanh(logits / soft_cap), and the gradient that
// of the logits before it; without `backward` logits may be left capped.
struct CrossEntropy {
  float* logits;
  const std::int32_t* targets;
  float* loss_sum;
  float* row_losses;
  std::int64_t rows, vocabulary;
  bool backward;
  float soft_cap = 0;  // 0: none
};

// y = x[indices] / y[indices] += x (scatter, indices distinct and ascending)     width floats a row
struct GatherRows {
  const float* x;
  const std::int32_t* indices;
  float* y;
  std::int64_t rows, width;
};
struct ScatterRows {
  const float* x;
  const std::int32_t* indices;
  float* y;
  std::int64_t rows, width;
};

struct Fill {
  float* y;
  float value;
  std::int64_t count;
};
struct Add {
  const float* x;
  float* y;
  std::int64_t count;
  float scale;
};  // y += scale * x
struct Scale {
  float* y;
  std::int64_t count;
  float scale;
};  // y *= scale
struct SoftCap {
  float* y;
  std::int64_t count;
  float soft_cap;
};  // y = soft_cap tanh(y / soft_cap)

// sum[0] = sum of squares in double, over fixed blocks of 4096 elements, block sums added in ascending order;
// non_finite[0] = index of the first element that is NaN or infinite, or -1.
struct SquaredNorm {
  const float* x;
  double* sum;
  std::int64_t* non_finite;
  std::int64_t count;
};

// Decoupled weight decay (Loshchilov & Hutter 2019, algorithm 2; the order of operations of torch.optim.AdamW):
// p -= lr*wd*p; m += (1-b1)(g-m); v = b2 v + (1-b2) g^2; p -= lr/(1-b1^t) * m / (sqrt(v)/sqrt(1-b2^t) + epsilon)
// with g = gradient_scale * gradient.  t = step, from 1.
struct AdamW {
  float* parameters;
  const float* gradient;
  float* m;
  float* v;
  std::int64_t count;
  std::int64_t step;
  float learning_rate, beta1, beta2, epsilon, weight_decay, gradient_scale;
};

// A backend fills every entry.
struct KernelTable {
  void (*embedding_forward)(Stream&, const EmbeddingForward&);
  void (*embedding_backward)(Stream&, const EmbeddingBackward&);
  void (*rms_norm_forward)(Stream&, const RmsNormForward&);
  void (*rms_norm_backward)(Stream&, const RmsNormBackward&);
  void (*matmul)(Stream&, const MatMul&);
  void (*bias_forward)(Stream&, const BiasForward&);
  void (*bias_backward)(Stream&, const BiasBackward&);
  void (*rope)(Stream&, const Rope&);
  void (*attention_forward)(Stream&, const AttentionForward&);
  void (*attention_backward)(Stream&, const AttentionBackward&);
  void (*swiglu_forward)(Stream&, const GluForward&);
  void (*swiglu_backward)(Stream&, const GluBackward&);
  void (*geglu_forward)(Stream&, const GluForward&);
  void (*geglu_backward)(Stream&, const GluBackward&);
  void (*cross_entropy)(Stream&, const CrossEntropy&);
  void (*gather_rows)(Stream&, const GatherRows&);
  void (*scatter_rows)(Stream&, const ScatterRows&);
  void (*fill)(Stream&, const Fill&);
  void (*add)(Stream&, const Add&);
  void (*scale)(Stream&, const Scale&);
  void (*soft_cap)(Stream&, const SoftCap&);
  void (*squared_norm)(Stream&, const SquaredNorm&);
  void (*adamw)(Stream&, const AdamW&);
};

// Floats of scratch that AttentionBackward needs on any device.
std::int64_t attention_scratch_floats(std::int64_t rows, std::int64_t heads, std::int64_t head_dim);

}  // namespace ftl
