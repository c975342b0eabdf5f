#include "tests/kernels/operations.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "kernels/adamw.h"
#include "kernels/attention.h"
#include "kernels/bias.h"
#include "kernels/cross_entropy.h"
#include "kernels/elementwise.h"
#include "kernels/embedding.h"
#include "kernels/geglu.h"
#include "kernels/matmul.h"
#include "kernels/move_rows.h"
#include "kernels/rms_norm.h"
#include "kernels/rope.h"
#include "kernels/squared_norm.h"
#include "kernels/swiglu.h"
#include "tests/kernels/cpu_fixture.h"

namespace ftl::testing {
namespace {

// Memory at a chosen distance from a 64-byte boundary, with exact ends for AddressSanitizer at the far side.
class Operand {
 public:
  Operand(const Floats& values, int shift) : values_(values.size() + 16 + static_cast<std::size_t>(shift)) {
    const auto address = reinterpret_cast<std::uintptr_t>(values_.data());
    offset_ = (64 - address % 64) % 64 / sizeof(float) + static_cast<std::size_t>(shift);
    size_ = values.size();
    values_.resize(offset_ + size_);
    std::copy(values.begin(), values.end(), values_.begin() + static_cast<std::ptrdiff_t>(offset_));
  }
  operator float*() { return values_.data() + offset_; }  // NOLINT: stands for a pointer
  Floats values() const { return Floats(values_.begin() + static_cast<std::ptrdiff_t>(offset_), values_.end()); }

 private:
  Floats values_;
  std::size_t offset_ = 0, size_ = 0;
};

using Indices = std::vector<std::int32_t>;

Indices tokens(std::int64_t count, std::int64_t below) {
  Indices ids;
  for (std::int64_t i = 0; i < count; ++i) ids.push_back(static_cast<std::int32_t>((i * 7 + 3) % below));
  return ids;
}

std::string dimensions(std::initializer_list<std::int64_t> sizes) {
  std::string text;
  for (const std::int64_t size : sizes) text.append("_").append(std::to_string(size));
  return text;
}

using Cases = std::vector<OperationCase>;

void add_matmul(Cases& cases, std::int64_t m, std::int64_t n, std::int64_t k, bool ta, bool tb, float beta) {
  cases.push_back({std::string("matmul") + (ta ? "_ta" : "") + (tb ? "_tb" : "") + (beta == 0 ? "" : "_added") +
                       dimensions({m, n, k}),
                   3e-5, [=](const KernelTable& kernels, Stream& stream, int shift) {
                     const std::int64_t ldc = n + 3;
                     Operand a(numbers(m * k, 1), shift), b(numbers(k * n, 2), shift / 2),
                         c(numbers(m * ldc, 3), (3 * shift) % 16);
                     if (beta == 0) {
                       for (std::int64_t row = 0; row < m; ++row)
                         std::fill(c + row * ldc, c + row * ldc + n, NAN);  // never read
                     }
                     kernels.matmul(stream, {a, {b}, c, m, n, k, ta ? m : k, tb ? k : n, ldc, ta, tb, 0.5f, beta});
                     return std::vector<Floats>{c.values()};
                   }});
}

// B in bfloat16, widened exactly: the reference widens it too.
void add_matmul_of_halves(Cases& cases, std::int64_t m, std::int64_t n, std::int64_t k, bool tb) {
  cases.push_back({std::string("matmul_bf16") + (tb ? "_tb" : "") + dimensions({m, n, k}), 3e-5,
                   [=](const KernelTable& kernels, Stream& stream, int shift) {
                     Operand a(numbers(m * k, 1), shift), c(Floats(m * n, NAN), shift);
                     std::vector<std::uint16_t> b;
                     for (const float value : numbers(k * n, 2))
                       b.push_back(static_cast<std::uint16_t>(std::bit_cast<std::uint32_t>(value) >> 16));
                     kernels.matmul(stream, {a, {nullptr, b.data()}, c, m, n, k, k, tb ? k : n, n, false, tb, 1, 0});
                     return std::vector<Floats>{c.values()};
                   }});
}

void add_row_operations(Cases& cases, std::int64_t rows, std::int64_t width) {
  cases.push_back(
      {"rms_norm" + dimensions({rows, width}), 1e-5, [=](const KernelTable& kernels, Stream& stream, int shift) {
         Operand x(numbers(rows * width, 1), shift), gain(numbers(width, 2), shift / 2), y(Floats(rows * width), shift);
         Operand inverse(Floats(rows), shift), dy(numbers(rows * width, 3), shift), dx(numbers(rows * width, 4), shift);
         Operand d_gain(numbers(width, 5), shift), overwritten(Floats(rows * width, NAN), shift);
         kernels.rms_norm_forward(stream, {x, gain, y, inverse, rows, width, 1e-5f});
         kernels.rms_norm_backward(stream, {x, gain, inverse, dy, dx, d_gain, rows, width, true});
         kernels.rms_norm_backward(stream, {x, gain, inverse, dy, overwritten, nullptr, rows, width, false});
         return std::vector<Floats>{y.values(), inverse.values(), dx.values(), d_gain.values(), overwritten.values()};
       }});
  cases.push_back({"rms_norm_of_one_plus_gain" + dimensions({rows, width}), 1e-5,
                   [=](const KernelTable& kernels, Stream& stream, int shift) {
                     Operand x(numbers(rows * width, 1), shift), gain(numbers(width, 2), shift / 2);
                     Operand y(Floats(rows * width), shift), inverse(Floats(rows), shift);
                     Operand dy(numbers(rows * width, 3), shift), d_gain(numbers(width, 5), shift);
                     kernels.rms_norm_forward(stream, {x, gain, y, inverse, rows, width, 1e-5f, 1});
                     // In place: dx is where dy was.
                     kernels.rms_norm_backward(stream, {x, gain, inverse, dy, dy, d_gain, rows, width, false, 1});
                     return std::vector<Floats>{y.values(), dy.values(), d_gain.values()};
                   }});
  cases.push_back(
      {"bias" + dimensions({rows, width}), 5e-6, [=](const KernelTable& kernels, Stream& stream, int shift) {
         Operand bias(numbers(width, 1), shift), y(numbers(rows * width, 2), shift), d_bias(numbers(width, 3), shift);
         kernels.bias_forward(stream, {bias, y, rows, width});
         kernels.bias_backward(stream, {y, d_bias, rows, width});
         return std::vector<Floats>{y.values(), d_bias.values()};
       }});
  cases.push_back(
      {"embedding" + dimensions({rows, width}), 1e-6, [=](const KernelTable& kernels, Stream& stream, int shift) {
         constexpr std::int64_t vocabulary = 11;  // fewer than rows: tokens repeat
         const Indices ids = tokens(rows, vocabulary);
         Operand table(numbers(vocabulary * width, 1), shift), y(Floats(rows * width), shift),
             d_table(numbers(vocabulary * width, 2), shift);
         kernels.embedding_forward(stream, {ids.data(), {table}, y, rows, width});
         kernels.embedding_backward(stream, {ids.data(), y, d_table, rows, width, vocabulary});
         return std::vector<Floats>{y.values(), d_table.values()};
       }});
  cases.push_back(
      {"move_rows" + dimensions({rows, width}), 1e-6, [=](const KernelTable& kernels, Stream& stream, int shift) {
         Indices indices;
         for (std::int64_t row = 0; row < rows; ++row) indices.push_back(static_cast<std::int32_t>(2 * row + 1));
         Operand x(numbers(2 * rows * width, 1), shift), y(Floats(rows * width), shift);
         kernels.gather_rows(stream, {x, indices.data(), y, rows, width});
         kernels.scatter_rows(stream, {y, indices.data(), x, rows, width});
         return std::vector<Floats>{x.values(), y.values()};
       }});
  cases.push_back(
      {"cross_entropy" + dimensions({rows, width}), 1e-4, [=](const KernelTable& kernels, Stream& stream, int shift) {
         const Indices targets = tokens(rows, width);
         Operand logits(numbers(rows * width, 1, 4), shift), untouched(numbers(rows * width, 1, 4), shift);
         Operand losses(Floats(rows), shift), sum(Floats(1), shift), sum_without_rows(Floats(1), shift);
         kernels.cross_entropy(stream, {untouched, targets.data(), sum_without_rows, nullptr, rows, width, false});
         kernels.cross_entropy(stream, {logits, targets.data(), sum, losses, rows, width, true});
         return std::vector<Floats>{logits.values(), losses.values(), sum.values(), sum_without_rows.values(),
                                    untouched.values()};
       }});
  cases.push_back({"cross_entropy_capped" + dimensions({rows, width}), 1e-4,
                   [=](const KernelTable& kernels, Stream& stream, int shift) {
                     const Indices targets = tokens(rows, width);
                     Operand logits(numbers(rows * width, 1, 4), shift), losses(Floats(rows), shift),
                         sum(Floats(1), shift);
                     kernels.cross_entropy(stream, {logits, targets.data(), sum, losses, rows, width, true, 2.5f});
                     return std::vector<Floats>{logits.values(), losses.values(), sum.values()};
                   }});
}

void add_flat_operations(Cases& cases, std::int64_t count) {
  cases.push_back({"swiglu" + dimensions({count}), 3e-6, [=](const KernelTable& kernels, Stream& stream, int shift) {
                     Operand gate(numbers(count, 1, 3), shift), up(numbers(count, 2), shift),
                         dy(numbers(count, 3), shift), y(Floats(count), shift);
                     kernels.swiglu_forward(stream, {gate, up, y, count});
                     kernels.swiglu_backward(stream, {gate, up, dy, gate, up, count});  // in place
                     return std::vector<Floats>{y.values(), gate.values(), up.values()};
                   }});
  cases.push_back({"geglu" + dimensions({count}), 3e-6, [=](const KernelTable& kernels, Stream& stream, int shift) {
                     Operand gate(numbers(count, 1, 3), shift), up(numbers(count, 2), shift),
                         dy(numbers(count, 3), shift), y(Floats(count), shift);
                     kernels.geglu_forward(stream, {gate, up, y, count});
                     kernels.geglu_backward(stream, {gate, up, dy, gate, up, count});  // in place
                     return std::vector<Floats>{y.values(), gate.values(), up.values()};
                   }});
  cases.push_back({"soft_cap" + dimensions({count}), 1e-6, [=](const KernelTable& kernels, Stream& stream, int shift) {
                     Operand y(numbers(count, 1, 5), shift);
                     kernels.soft_cap(stream, {y, count, 2.5f});
                     return std::vector<Floats>{y.values()};
                   }});
  cases.push_back(
      {"elementwise" + dimensions({count}), 1e-6, [=](const KernelTable& kernels, Stream& stream, int shift) {
         Operand x(numbers(count, 1), shift), y(Floats(count, NAN), shift);
         kernels.fill(stream, {y, 0.25f, count});
         kernels.add(stream, {x, y, count, -2.5f});
         kernels.scale(stream, {y, count, 0.3f});
         return std::vector<Floats>{y.values()};
       }});
  cases.push_back(
      {"squared_norm" + dimensions({count}), 1e-6, [=](const KernelTable& kernels, Stream& stream, int shift) {
         Operand x(numbers(count, 1), shift);
         double sum = 0;
         std::int64_t non_finite = 0;
         kernels.squared_norm(stream, {x, &sum, &non_finite, count});
         const auto high = static_cast<float>(sum);
         const auto low = static_cast<float>(sum - static_cast<double>(high));  // every bit is compared
         return std::vector<Floats>{{high, low, static_cast<float>(non_finite)}};
       }});
  cases.push_back({"adamw" + dimensions({count}), 1e-5, [=](const KernelTable& kernels, Stream& stream, int shift) {
                     Operand p(numbers(count, 1), shift), m(Floats(count), shift), v(Floats(count), shift);
                     for (std::int64_t step = 1; step <= 3; ++step) {
                       Operand g(numbers(count, static_cast<unsigned>(10 + step)), shift);
                       kernels.adamw(stream, {p, g, m, v, count, step, 1e-2f, 0.9f, 0.999f, 1e-8f, 0.1f, 0.5f});
                     }
                     return std::vector<Floats>{p.values(), m.values(), v.values()};
                   }});
}

void add_attention(Cases& cases, std::int64_t rows, std::int64_t heads, std::int64_t kv_heads, std::int64_t d) {
  const float scale = 1 / std::sqrt(static_cast<float>(d));
  const auto q_size = rows * heads * d, kv_size = rows * kv_heads * d;
  cases.push_back(
      {"attention" + dimensions({rows, heads, kv_heads, d}), 1e-4,
       [=](const KernelTable& kernels, Stream& stream, int shift) {
         Operand q(numbers(q_size, 1, 2), shift), k(numbers(kv_size, 2), shift / 2), v(numbers(kv_size, 3), shift);
         Operand out(Floats(q_size, NAN), shift), lse(Floats(heads * rows), shift), d_out(numbers(q_size, 4), shift);
         Operand dq(Floats(q_size, NAN), shift), dk(Floats(kv_size, NAN), shift), dv(Floats(kv_size, NAN), shift);
         Operand scratch(Floats(attention_scratch_floats(rows, heads, d), NAN), shift);
         kernels.attention_forward(stream, {q, k, v, out, lse, rows, rows, heads, kv_heads, d, 0, scale});
         kernels.attention_backward(stream,
                                    {q, k, v, out, lse, d_out, dq, dk, dv, scratch, rows, heads, kv_heads, d, scale});
         return std::vector<Floats>{out.values(), lse.values(), dq.values(), dk.values(), dv.values()};
       },
       // A row that sees itself alone has p = 1 whatever q and k are: dq and dk are zero, a difference of numbers
       // near 1.
       rows == 1 ? 0.01 : 0.0});
  cases.push_back(
      {"decode" + dimensions({rows, heads, kv_heads, d}), 1e-4,
       [=](const KernelTable& kernels, Stream& stream, int shift) {
         const std::int64_t asked = rows < 3 ? 1 : 3;  // the last rows, against a cache of all
         Operand q(numbers(asked * heads * d, 1, 2), shift), k(numbers(kv_size, 2), shift),
             v(numbers(kv_size, 3), shift);
         Operand out(Floats(asked * heads * d, NAN), shift), lse(Floats(heads * asked), shift);
         kernels.attention_forward(stream, {q, k, v, out, lse, asked, rows, heads, kv_heads, d, rows - asked, scale});
         return std::vector<Floats>{out.values(), lse.values()};
       }});
  cases.push_back(
      // Turned twice, each time with three roundings of 2^-24 of the pair's length; the longest pair of so many numbers
      // is five times their root mean square: 2 x 3 x 2^-24 x 5.
      {"rope" + dimensions({rows, heads, d}), 1.8e-6, [=](const KernelTable& kernels, Stream& stream, int shift) {
         Floats cosines, sines;
         for (const float angle : numbers((rows + 5) * d / 2, 2, 3)) {
           cosines.push_back(std::cos(angle));
           sines.push_back(std::sin(angle));
         }
         Operand x(numbers(q_size, 1), shift), cosine(cosines, shift), sine(sines, shift);
         kernels.rope(stream, {x, cosine, sine, rows, heads, d, 5, false});
         const Floats forward = x.values();
         kernels.rope(stream, {x, cosine, sine, rows, heads, d, 0, true});
         return std::vector<Floats>{forward, x.values()};
       }});
}

struct Mask {
  std::int64_t window;
  float soft_cap;
};

// Training, and decoding of the last rows against a cache of all.
void add_masked_attention(Cases& cases, std::int64_t rows, std::int64_t heads, std::int64_t kv_heads, std::int64_t d,
                          const Mask& mask) {
  const float scale = 1 / std::sqrt(static_cast<float>(d));
  const auto q_size = rows * heads * d, kv_size = rows * kv_heads * d;
  cases.push_back(
      {"attention_window_" + std::to_string(mask.window) + (mask.soft_cap == 0 ? "" : "_capped") +
           dimensions({rows, heads, kv_heads, d}),
       1e-4,
       [=](const KernelTable& kernels, Stream& stream, int shift) {
         Operand q(numbers(q_size, 1, 2), shift), k(numbers(kv_size, 2), shift / 2), v(numbers(kv_size, 3), shift);
         Operand out(Floats(q_size, NAN), shift), lse(Floats(heads * rows), shift), d_out(numbers(q_size, 4), shift);
         Operand dq(Floats(q_size, NAN), shift), dk(Floats(kv_size, NAN), shift), dv(Floats(kv_size, NAN), shift);
         Operand scratch(Floats(attention_scratch_floats(rows, heads, d), NAN), shift);
         kernels.attention_forward(
             stream, {q, k, v, out, lse, rows, rows, heads, kv_heads, d, 0, scale, mask.window, mask.soft_cap});
         kernels.attention_backward(stream, {q, k, v, out, lse, d_out, dq, dk, dv, scratch, rows, heads, kv_heads, d,
                                             scale, mask.window, mask.soft_cap});
         const std::int64_t asked = 3, first = rows - asked;
         Operand last(Floats(asked * heads * d, NAN), shift), last_lse(Floats(heads * asked), shift);
         kernels.attention_forward(stream, {q + first * heads * d, k, v, last, last_lse, asked, rows, heads, kv_heads,
                                            d, first, scale, mask.window, mask.soft_cap});
         return std::vector<Floats>{out.values(), lse.values(),  dq.values(),      dk.values(),
                                    dv.values(),  last.values(), last_lse.values()};
       },
       // A window of 1 has p = 1 whatever q and k are: dq and dk are zero, a difference of numbers near 1.
       mask.window == 1 ? 1.0 : 0.0});
}

template <auto reference, class Arguments>
void without_stream(Stream&, const Arguments& args) {
  reference(args);
}

}  // namespace

std::vector<OperationCase> operation_cases() {
  Cases cases;
  struct Product {
    std::int64_t m, n, k;
  };
  for (const Product p : {Product{1, 576, 192},
                          {1, 7, 5},
                          {33, 17, 9},
                          {300, 290, 65},
                          {256, 576, 96},
                          {130, 8, 200},
                          {5, 300, 1},
                          {32, 192, 2048},
                          {20, 40, 60000}}) {
    for (const bool ta : {false, true}) {
      for (const bool tb : {false, true}) add_matmul(cases, p.m, p.n, p.k, ta, tb, ta == tb ? 1.0f : 0.0f);
    }
    add_matmul(cases, p.m, p.n, p.k, false, true, 0.5f);
    for (const bool tb : {false, true}) add_matmul_of_halves(cases, p.m, p.n, p.k, tb);
  }
  struct Rows {
    std::int64_t rows, width;
  };
  for (const Rows r : {Rows{1, 8}, {1, 13}, {5, 64}, {70, 33}, {130, 192}, {3, 2500}})
    add_row_operations(cases, r.rows, r.width);
  for (const std::int64_t count : {1, 7, 8, 4096, 4099, 70001}) add_flat_operations(cases, count);
  struct Attention {
    std::int64_t rows, heads, kv_heads, d;
  };
  for (const Attention a : {Attention{1, 2, 2, 8},
                            {2, 2, 1, 40},
                            {37, 3, 1, 32},
                            {127, 2, 2, 64},
                            {128, 2, 1, 40},
                            {129, 6, 1, 8},
                            {260, 4, 2, 128},
                            {300, 3, 3, 32}}) {
    add_attention(cases, a.rows, a.heads, a.kv_heads, a.d);
  }
  // Windows that end within a block of 128, at its edge and just beyond it, and one wider than the sequence.
  for (const std::int64_t window : {1, 5, 127, 128, 129, 1000}) add_masked_attention(cases, 300, 2, 1, 40, {window, 0});
  add_masked_attention(cases, 520, 2, 2, 8, {100, 0});
  for (const std::int64_t window : {0, 70}) add_masked_attention(cases, 260, 4, 2, 32, {window, 1.5f});
  return cases;
}

const KernelTable& reference_table() {
  static constexpr KernelTable table{
      .embedding_forward = without_stream<embedding_forward_reference, EmbeddingForward>,
      .embedding_backward = without_stream<embedding_backward_reference, EmbeddingBackward>,
      .rms_norm_forward = without_stream<rms_norm_forward_reference, RmsNormForward>,
      .rms_norm_backward = without_stream<rms_norm_backward_reference, RmsNormBackward>,
      .matmul = without_stream<matmul_reference, MatMul>,
      .bias_forward = without_stream<bias_forward_reference, BiasForward>,
      .bias_backward = without_stream<bias_backward_reference, BiasBackward>,
      .rope = without_stream<rope_reference, Rope>,
      .attention_forward = without_stream<attention_forward_reference, AttentionForward>,
      .attention_backward = without_stream<attention_backward_reference, AttentionBackward>,
      .swiglu_forward = without_stream<swiglu_forward_reference, GluForward>,
      .swiglu_backward = without_stream<swiglu_backward_reference, GluBackward>,
      .geglu_forward = without_stream<geglu_forward_reference, GluForward>,
      .geglu_backward = without_stream<geglu_backward_reference, GluBackward>,
      .cross_entropy = without_stream<cross_entropy_reference, CrossEntropy>,
      .gather_rows = without_stream<gather_rows_reference, GatherRows>,
      .scatter_rows = without_stream<scatter_rows_reference, ScatterRows>,
      .fill = without_stream<fill_reference, Fill>,
      .add = without_stream<add_reference, Add>,
      .scale = without_stream<scale_reference, Scale>,
      .soft_cap = without_stream<soft_cap_reference, SoftCap>,
      .squared_norm = without_stream<squared_norm_reference, SquaredNorm>,
      .adamw = without_stream<adamw_reference, AdamW>,
  };
  return table;
}

}  // namespace ftl::testing
