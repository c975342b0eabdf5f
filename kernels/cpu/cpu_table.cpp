#include "kernels/cpu/cpu_table.h"

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

namespace ftl::FTL_CPU {

const KernelTable& cpu_table() {
  static constexpr KernelTable table{
      .embedding_forward = embedding_forward,
      .embedding_backward = embedding_backward,
      .rms_norm_forward = rms_norm_forward,
      .rms_norm_backward = rms_norm_backward,
      .matmul = matmul,
      .bias_forward = bias_forward,
      .bias_backward = bias_backward,
      .rope = rope,
      .attention_forward = attention_forward,
      .attention_backward = attention_backward,
      .swiglu_forward = swiglu_forward,
      .swiglu_backward = swiglu_backward,
      .geglu_forward = geglu_forward,
      .geglu_backward = geglu_backward,
      .cross_entropy = cross_entropy,
      .gather_rows = gather_rows,
      .scatter_rows = scatter_rows,
      .fill = fill,
      .add = add,
      .scale = scale,
      .soft_cap = soft_cap,
      .squared_norm = squared_norm,
      .adamw = adamw,
  };
  return table;
}

}  // namespace ftl::FTL_CPU
