#include "lora/lora_linear.h"

#include <cassert>

namespace ftl {

void lora_forward(Stream& stream, const LoraLinear& linear, const float* x, float* y, float* low, std::int64_t rows) {
  const auto matmul = stream.device().kernels().matmul;
  const auto [weight, a, b, in, out, rank, scaling] = linear;
  matmul(stream, {.a = x,
                  .b = weight,
                  .c = y,
                  .m = rows,
                  .n = out,
                  .k = in,
                  .lda = in,
                  .ldb = in,
                  .ldc = out,
                  .transpose_a = false,
                  .transpose_b = true,
                  .alpha = 1,
                  .beta = 0});
  if (!linear.adapted()) return;
  assert(low != nullptr);
  matmul(stream, {.a = x,
                  .b = {.f32 = a},
                  .c = low,
                  .m = rows,
                  .n = rank,
                  .k = in,
                  .lda = in,
                  .ldb = in,
                  .ldc = rank,
                  .transpose_a = false,
                  .transpose_b = true,
                  .alpha = 1,
                  .beta = 0});
  matmul(stream, {.a = low,
                  .b = {.f32 = b},
                  .c = y,
                  .m = rows,
                  .n = out,
                  .k = rank,
                  .lda = rank,
                  .ldb = rank,
                  .ldc = out,
                  .transpose_a = false,
                  .transpose_b = true,
                  .alpha = scaling,
                  .beta = 1});
}

void lora_backward(Stream& stream, const LoraLinear& linear, const float* x, const float* low, const float* dy,
                   float* d_low, const LoraLinearGradients& gradients, std::int64_t rows) {
  const auto matmul = stream.device().kernels().matmul;
  const auto [weight, a, b, in, out, rank, scaling] = linear;
  if (gradients.d_x != nullptr) {  // dx = dy W
    matmul(stream, {.a = dy,
                    .b = weight,
                    .c = gradients.d_x,
                    .m = rows,
                    .n = in,
                    .k = out,
                    .lda = out,
                    .ldb = in,
                    .ldc = in,
                    .transpose_a = false,
                    .transpose_b = false,
                    .alpha = 1,
                    .beta = gradients.accumulate_d_x ? 1.0f : 0.0f});
  }
  if (gradients.d_weight != nullptr) {  // dW = dy^T x
    matmul(stream, {.a = dy,
                    .b = {.f32 = x},
                    .c = gradients.d_weight,
                    .m = out,
                    .n = in,
                    .k = rows,
                    .lda = out,
                    .ldb = in,
                    .ldc = in,
                    .transpose_a = true,
                    .transpose_b = false,
                    .alpha = 1,
                    .beta = 0});
  }
  if (!linear.adapted()) return;
  // d_low = scaling * dy B, shared by dx and dA
  matmul(stream, {.a = dy,
                  .b = {.f32 = b},
                  .c = d_low,
                  .m = rows,
                  .n = rank,
                  .k = out,
                  .lda = out,
                  .ldb = rank,
                  .ldc = rank,
                  .transpose_a = false,
                  .transpose_b = false,
                  .alpha = scaling,
                  .beta = 0});
  if (gradients.d_x != nullptr) {  // dx += d_low A
    matmul(stream, {.a = d_low,
                    .b = {.f32 = a},
                    .c = gradients.d_x,
                    .m = rows,
                    .n = in,
                    .k = rank,
                    .lda = rank,
                    .ldb = in,
                    .ldc = in,
                    .transpose_a = false,
                    .transpose_b = false,
                    .alpha = 1,
                    .beta = 1});
  }
  if (gradients.d_a != nullptr) {  // dA = d_low^T x
    matmul(stream, {.a = d_low,
                    .b = {.f32 = x},
                    .c = gradients.d_a,
                    .m = rank,
                    .n = in,
                    .k = rows,
                    .lda = rank,
                    .ldb = in,
                    .ldc = in,
                    .transpose_a = true,
                    .transpose_b = false,
                    .alpha = 1,
                    .beta = 0});
  }
  if (gradients.d_b != nullptr) {  // dB = scaling * dy^T low
    matmul(stream, {.a = dy,
                    .b = {.f32 = low},
                    .c = gradients.d_b,
                    .m = out,
                    .n = rank,
                    .k = rows,
                    .lda = out,
                    .ldb = rank,
                    .ldc = rank,
                    .transpose_a = true,
                    .transpose_b = false,
                    .alpha = scaling,
                    .beta = 0});
  }
}

}  // namespace ftl
