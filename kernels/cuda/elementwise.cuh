// y = value, y += scale * x, y *= scale, y = soft_cap tanh(y / soft_cap), y += bias: one thread an element.
#pragma once

#include <cstdint>

namespace ftl::cuda {

constexpr int elementwise_threads = 256;
inline unsigned blocks_for(std::int64_t count) {
  return static_cast<unsigned>((count + elementwise_threads - 1) / elementwise_threads);
}

__device__ inline std::int64_t element() { return static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; }

__global__ void fill_kernel(float* y, float value, std::int64_t count) {
  if (const std::int64_t i = element(); i < count) y[i] = value;
}
__global__ void add_kernel(const float* x, float* y, std::int64_t count, float scale) {
  if (const std::int64_t i = element(); i < count) y[i] += scale * x[i];
}
__global__ void scale_kernel(float* y, std::int64_t count, float scale) {
  if (const std::int64_t i = element(); i < count) y[i] *= scale;
}
__global__ void soft_cap_kernel(float* y, std::int64_t count, float soft_cap) {
  if (const std::int64_t i = element(); i < count) y[i] = soft_cap * tanhf(y[i] / soft_cap);
}
__global__ void bias_forward_kernel(const float* bias, float* y, std::int64_t count, std::int64_t width) {
  if (const std::int64_t i = element(); i < count) y[i] += bias[i % width];
}

}  // namespace ftl::cuda
