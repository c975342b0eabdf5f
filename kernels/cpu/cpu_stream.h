// The CPU's stream: a team of threads and a little memory for each of them. What kernels ask of a Stream on the CPU.
#pragma once

#include <cstdint>
#include <memory>
#include <utility>

#include "kernels/device.h"
#include "kernels/thread_pool.h"

namespace ftl {

class CpuStream final : public Stream {
 public:
  // Floats of scratch a thread: two blocks of attention scores (attention.h) and their row statistics.
  static constexpr std::int64_t scratch_floats = 2 * 128 * 128 + 2 * 128;

  CpuStream(Device& device, std::unique_ptr<ThreadPool> pool, Buffer scratch)
      : device_(device), pool_(std::move(pool)), scratch_(std::move(scratch)) {}

  Device& device() override { return device_; }
  Result<Done> synchronize() override { return Done{}; }
  ThreadPool& pool() { return *pool_; }
  float* scratch(int thread) { return scratch_.floats() + thread * scratch_floats; }

 private:
  Device& device_;
  std::unique_ptr<ThreadPool> pool_;
  Buffer scratch_;  // [threads, scratch_floats]
};

// The streams that kernels of the CPU are given were made by the CPU's device.
inline CpuStream& cpu(Stream& stream) { return static_cast<CpuStream&>(stream); }

}  // namespace ftl
