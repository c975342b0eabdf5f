// What this machine can do at best, measured on the spot: the floors that operations are held against.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "kernels/device.h"

namespace ftl {

struct Cpu {
  explicit Cpu(int threads);
  std::unique_ptr<Device> device;
  std::unique_ptr<Stream> stream;
};

// Values of both signs around zero.
std::vector<float> bench_values(std::int64_t count);

// Floating-point operations a second of a 1024-cube's product: the fastest of OpenBLAS, where it is installed, and
// ours.
double product_peak(int threads);
// Bytes a second, read and written, of a copy between arrays that fit no cache.
double memory_bandwidth(int threads);

}  // namespace ftl
