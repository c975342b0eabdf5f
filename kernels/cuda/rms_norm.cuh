// y = x * (gain_offset + gain) / sqrt(mean(x^2) + epsilon): one block a row; the squares are added in a tree over the
// block's threads.
#pragma once

#include <cstdint>

namespace ftl::cuda {

constexpr int rms_norm_threads = 256;  // a power of two

__global__ void rms_norm_forward_kernel(const float* x, const float* gain, float* y, float* inverse_rms,
                                        std::int64_t width, float epsilon, float gain_offset) {
  __shared__ float partial[rms_norm_threads];
  const std::int64_t row = blockIdx.x;
  const float* in = x + row * width;
  float sum = 0;
  for (std::int64_t i = threadIdx.x; i < width; i += rms_norm_threads) sum += in[i] * in[i];
  partial[threadIdx.x] = sum;
  __syncthreads();
  for (unsigned half = rms_norm_threads / 2; half > 0; half /= 2) {
    if (threadIdx.x < half) partial[threadIdx.x] += partial[threadIdx.x + half];
    __syncthreads();
  }
  const float inverse = rsqrtf(partial[0] / static_cast<float>(width) + epsilon);
  if (threadIdx.x == 0 && inverse_rms != nullptr) inverse_rms[row] = inverse;
  for (std::int64_t i = threadIdx.x; i < width; i += rms_norm_threads)
    y[row * width + i] = in[i] * inverse * (gain_offset + gain[i]);
}

}  // namespace ftl::cuda
