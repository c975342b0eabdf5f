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
  struct Scratch {  // a thread's own
    float* blocks;  // [block_floats]: two blocks of attention scores (attention.h) and their row statistics
    float* panel;   // [panel_floats]: a panel of a matrix product (product.h)
  };
  static constexpr std::int64_t block_floats = 2 * 128 * 128 + 2 * 128, panel_floats = 10240;

  static constexpr int calling_thread = 0;
  static constexpr std::int64_t floats_a_thread = block_floats + panel_floats;

  // `memory`: [threads, floats_a_thread]
  CpuStream(Device& device, std::unique_ptr<ThreadPool> pool, Buffer memory)
      : device_(device), pool_(std::move(pool)), memory_(std::move(memory)) {}

  Device& device() override { return device_; }
  Result<Done> synchronize() override { return Done{}; }
  int threads() const { return pool_->threads(); }
  // As in ThreadPool. The calling thread takes pieces as long as any are left, so its own suffice as signs of life.
  template <class Body>
  void parallel_for(std::int64_t count, const Body& body) {
    pool_->parallel_for(count, [&](std::int64_t index, int thread) {
      body(index, thread);
      if (thread == calling_thread) piece_done();
    });
  }
  template <class Body>
  void parallel_blocks(std::int64_t count, std::int64_t block, const Body& body) {
    parallel_for((count + block - 1) / block, [&](std::int64_t index, int) {
      const std::int64_t begin = index * block;
      body(begin, count - begin < block ? count : begin + block);
    });
  }
  Scratch scratch(int thread) {
    float* const own = memory_.floats() + thread * floats_a_thread;
    return {own, own + block_floats};
  }

 private:
  Device& device_;
  std::unique_ptr<ThreadPool> pool_;
  Buffer memory_;  // [threads, floats_a_thread]
};

// The streams that kernels of the CPU are given were made by the CPU's device.
inline CpuStream& cpu(Stream& stream) { return static_cast<CpuStream&>(stream); }

}  // namespace ftl
