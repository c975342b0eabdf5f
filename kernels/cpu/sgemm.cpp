#include "kernels/cpu/sgemm.h"

#include <cblas.h>

#include <cassert>
#include <climits>
#include <sstream>

namespace ftl {

void use_one_blas_thread() { openblas_set_num_threads(1); }

std::string blas_description() {
  std::istringstream config(openblas_get_config());  // "OpenBLAS 0.3.21 NO_LAPACKE DYNAMIC_ARCH ..."
  std::string name, version;
  config >> name >> version;
  return name + " " + version + " " + openblas_get_corename();
}

void sgemm(const MatMul& p) {
  assert(p.m <= INT_MAX && p.n <= INT_MAX && p.k <= INT_MAX);
  assert(p.lda <= INT_MAX && p.ldb <= INT_MAX && p.ldc <= INT_MAX);
  const auto m = static_cast<int>(p.m), n = static_cast<int>(p.n), k = static_cast<int>(p.k);
  const auto lda = static_cast<int>(p.lda), ldb = static_cast<int>(p.ldb), ldc = static_cast<int>(p.ldc);
  if (m == 1 && !p.transpose_a && k > 0) {
    // One token: packing the weights would cost more than the product. c^T = op(B)^T a^T.
    cblas_sgemv(CblasRowMajor, p.transpose_b ? CblasNoTrans : CblasTrans, p.transpose_b ? n : k, p.transpose_b ? k : n,
                p.alpha, p.b, ldb, p.a, 1, p.beta, p.c, 1);
    return;
  }
  cblas_sgemm(CblasRowMajor, p.transpose_a ? CblasTrans : CblasNoTrans, p.transpose_b ? CblasTrans : CblasNoTrans, m, n,
              k, p.alpha, p.a, lda, p.b, ldb, p.beta, p.c, ldc);
}

}  // namespace ftl
