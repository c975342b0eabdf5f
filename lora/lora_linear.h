// A linear layer with an optional adapter, forward and backward. The low-rank product is never merged into W: two thin
// matrix products beside the wide one, the last of which adds into its result.
#pragma once

#include <cstdint>

#include "kernels/device.h"

namespace ftl {

// y = x W^T + scaling * (x A^T) B^T        W: [out, in]   A: [rank, in] or null   B: [out, rank] or null
struct LoraLinear {
  StoredMatrix weight;
  const float* a = nullptr;
  const float* b = nullptr;
  std::int64_t in = 0, out = 0, rank = 0;
  float scaling = 0;
  bool adapted() const { return a != nullptr; }
};

// Where the gradients of one linear layer go; null = not wanted. All are overwritten except d_x, which is added to when
// asked.
struct LoraLinearGradients {
  float* d_x = nullptr;  // [rows, in]
  bool accumulate_d_x = false;
  float* d_a = nullptr;       // [rank, in]
  float* d_b = nullptr;       // [out, rank]
  float* d_weight = nullptr;  // [out, in]: full-parameter mode
};

// x: [rows, in]   y: [rows, out]   low: [rows, rank] = x A^T, written when the layer is adapted, needed by backward
void lora_forward(Stream& stream, const LoraLinear& linear, const float* x, float* y, float* low, std::int64_t rows);

// dy: [rows, out]   x, low: as in forward (x is not read when neither d_a nor d_weight is wanted)   d_low: [rows, rank]
// scratch
void lora_backward(Stream& stream, const LoraLinear& linear, const float* x, const float* low, const float* dy,
                   float* d_low, const LoraLinearGradients& gradients, std::int64_t rows);

}  // namespace ftl
