#include "kernels/matmul.h"

namespace ftl {

void matmul_reference(const MatMul& args) {
  for (std::int64_t row = 0; row < args.m; ++row) {
    for (std::int64_t column = 0; column < args.n; ++column) {
      double sum = 0;
      for (std::int64_t i = 0; i < args.k; ++i) {
        const float a = args.transpose_a ? args.a[i * args.lda + row] : args.a[row * args.lda + i];
        const std::int64_t at = args.transpose_b ? column * args.ldb + i : i * args.ldb + column;
        sum += static_cast<double>(a) * element(args.b, at);
      }
      float& c = args.c[row * args.ldc + column];
      c = static_cast<float>(args.alpha * sum + (args.beta == 0 ? 0.0 : static_cast<double>(args.beta) * c));
    }
  }
}

}  // namespace ftl
