#include "kernels/thread_pool.h"

#include <string>
#include <system_error>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace ftl {
namespace {

void pause_processor() {
#if defined(__x86_64__)
  _mm_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// About 50 us on current processors (40 to 140 cycles a pause): longer than the gap between two operations of a step.
constexpr int spins_before_sleep = 1500;

}  // namespace

Result<std::unique_ptr<ThreadPool>> ThreadPool::start(int threads) {
  if (threads < 1 || threads > max_threads) {
    return Failure{FaultKind::internal_error,
                   "a stream was asked to have " + std::to_string(threads) + " threads, must be 1 to " +
                       std::to_string(max_threads),
                   "", ""};
  }
  std::unique_ptr<ThreadPool> pool(new ThreadPool());
  pool->workers_.reserve(static_cast<std::size_t>(threads - 1));
  try {
    for (int thread = 1; thread < threads; ++thread) {
      pool->workers_.emplace_back([raw = pool.get(), thread] { raw->work(thread); });
    }
  } catch (const std::system_error& error) {
    return Failure{FaultKind::launch_failed,
                   "the system refused thread " + std::to_string(pool->workers_.size() + 1) + " of " +
                       std::to_string(threads) + ": " + error.what(),
                   "", "raise the limit of processes (ulimit -u) or use fewer threads"};
  }
  return pool;
}

ThreadPool::~ThreadPool() {
  stopping_.store(true, std::memory_order_relaxed);
  state_.fetch_add(next_generation, std::memory_order_release);
  state_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void ThreadPool::share(std::int64_t count, const void* context, Call call) {
  count_ = count;
  context_ = context;
  call_ = call;
  next_index_.store(0, std::memory_order_relaxed);
  const std::uint32_t closed = state_.load(std::memory_order_relaxed);
  state_.store((closed + next_generation) | open_bit, std::memory_order_release);
  state_.notify_all();

  take_indices(0);

  state_.fetch_and(~open_bit, std::memory_order_acq_rel);
  for (int spin = 0; spin < spins_before_sleep; ++spin) {
    if ((state_.load(std::memory_order_acquire) & inside_mask) == 0) return;
    pause_processor();
  }
  for (;;) {
    const std::uint32_t departures = departures_.load(std::memory_order_acquire);
    if ((state_.load(std::memory_order_acquire) & inside_mask) == 0) return;
    departures_.wait(departures, std::memory_order_acquire);
  }
}

void ThreadPool::take_indices(int thread) {
  for (;;) {
    const std::int64_t index = next_index_.fetch_add(1, std::memory_order_relaxed);
    if (index >= count_) return;
    call_(context_, index, thread);
  }
}

std::uint32_t ThreadPool::await_change(std::uint32_t seen) const {
  const auto job_of = [](std::uint32_t state) { return state & ~inside_mask & ~open_bit; };
  for (int spin = 0; spin < spins_before_sleep; ++spin) {
    const std::uint32_t state = state_.load(std::memory_order_acquire);
    if (job_of(state) != job_of(seen)) return state;
    pause_processor();
  }
  for (;;) {
    const std::uint32_t state = state_.load(std::memory_order_acquire);
    if (job_of(state) != job_of(seen)) return state;
    state_.wait(state, std::memory_order_acquire);
  }
}

void ThreadPool::work(int thread) {
  std::uint32_t seen = 0;
  for (;;) {
    std::uint32_t state = await_change(seen);
    if (stopping_.load(std::memory_order_relaxed)) return;
    seen = state;
    bool entered = false;
    while ((state & open_bit) != 0 && !entered) {
      entered = state_.compare_exchange_weak(state, state + 1, std::memory_order_acq_rel, std::memory_order_acquire);
    }
    if (!entered) continue;
    seen = state;  // the job entered may be a later one than the job that woke us
    take_indices(thread);
    const std::uint32_t before = state_.fetch_sub(1, std::memory_order_acq_rel);
    if ((before & open_bit) == 0 && (before & inside_mask) == 1) {
      departures_.fetch_add(1, std::memory_order_release);
      departures_.notify_one();
    }
  }
}

}  // namespace ftl
