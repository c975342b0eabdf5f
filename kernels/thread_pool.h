// A team of threads that shares out indices, ours and the only one. The caller is one of them; workers that wake too
// late find the work closed and are never waited for, so a short job costs no more than its own work. Nothing is
// allocated per job.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

#include "failures/result.h"

namespace ftl {

class ThreadPool {
 public:
  static constexpr int max_threads = 512;

  // `threads` counts the caller: threads - 1 workers are started. Fails if the system refuses a thread.
  static Result<std::unique_ptr<ThreadPool>> start(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int threads() const { return static_cast<int>(workers_.size()) + 1; }

  // Calls body(index, thread) once for every index in [0, count), in any order, thread in [0, threads()). Returns when
  // all calls have returned. One caller at a time; the body neither throws nor calls parallel_for.
  template <class Body>
  void parallel_for(std::int64_t count, const Body& body) {
    if (count <= 1 || workers_.empty()) {
      for (std::int64_t index = 0; index < count; ++index) body(index, 0);
      return;
    }
    share(count, &body, [](const void* context, std::int64_t index, int thread) {
      (*static_cast<const Body*>(context))(index, thread);
    });
  }

  // Calls body(begin, end) for consecutive blocks of `block` elements (the last may be shorter).
  template <class Body>
  void parallel_blocks(std::int64_t count, std::int64_t block, const Body& body) {
    parallel_for((count + block - 1) / block, [&](std::int64_t index, int) {
      const std::int64_t begin = index * block;
      body(begin, count - begin < block ? count : begin + block);
    });
  }

 private:
  using Call = void (*)(const void* context, std::int64_t index, int thread);
  ThreadPool() = default;
  void share(std::int64_t count, const void* context, Call call);
  void work(int thread);
  void take_indices(int thread);
  std::uint32_t await_change(std::uint32_t seen) const;

  // state_ = generation | open bit | number of workers inside. A worker enters only while the job is open.
  static constexpr std::uint32_t inside_mask = 0x3ff, open_bit = 0x400, next_generation = 0x800;
  std::atomic<std::uint32_t> state_{0};
  std::atomic<std::uint32_t> departures_{0};  // changes when the last worker leaves a closed job: wakes the caller
  std::atomic<bool> stopping_{false};
  // The job: written by the caller while nobody is inside, read by those inside.
  std::int64_t count_ = 0;
  const void* context_ = nullptr;
  Call call_ = nullptr;
  alignas(64) std::atomic<std::int64_t> next_index_{0};
  std::vector<std::thread> workers_;
};

}  // namespace ftl
