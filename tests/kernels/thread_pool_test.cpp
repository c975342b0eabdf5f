#include "kernels/thread_pool.h"

#include <atomic>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace ftl {
namespace {

std::unique_ptr<ThreadPool> pool_of(int threads) { return std::move(ThreadPool::start(threads)).value(); }

TEST(ThreadPool, CallsEveryIndexExactlyOnceWhateverTheNumberOfThreads) {
  for (const int threads : {1, 2, 3, 5}) {
    auto pool = pool_of(threads);
    for (const std::int64_t count : {0, 1, 2, 7, 100}) {
      std::vector<std::atomic<int>> calls(static_cast<std::size_t>(count));
      pool->parallel_for(count, [&](std::int64_t index, int thread) {
        ASSERT_GE(thread, 0);
        ASSERT_LT(thread, threads);
        calls[static_cast<std::size_t>(index)].fetch_add(1);
      });
      for (const auto& call : calls) EXPECT_EQ(call.load(), 1) << threads << " threads, " << count << " indices";
    }
  }
}

TEST(ThreadPool, MakesWhatWorkersWroteVisibleToTheCallerOverThousandsOfJobs) {
  auto pool = pool_of(4);
  std::vector<std::int64_t> values(16);  // plain memory: ThreadSanitizer watches the hand-over
  for (std::int64_t job = 0; job < 5000; ++job) {
    pool->parallel_for(16, [&](std::int64_t index, int) { values[static_cast<std::size_t>(index)] += index; });
  }
  for (std::int64_t index = 0; index < 16; ++index) EXPECT_EQ(values[static_cast<std::size_t>(index)], 5000 * index);
}

TEST(ThreadPool, CutsBlocksThatCoverTheRangeWithoutOverlap) {
  auto pool = pool_of(3);
  std::vector<std::atomic<int>> touched(1000);
  pool->parallel_blocks(1000, 64, [&](std::int64_t begin, std::int64_t end) {
    EXPECT_LE(end - begin, 64);
    for (std::int64_t i = begin; i < end; ++i) touched[static_cast<std::size_t>(i)].fetch_add(1);
  });
  for (const auto& touch : touched) EXPECT_EQ(touch.load(), 1);
}

TEST(ThreadPool, LeavesAtOnceWhenItNeverWorked) {
  for (int i = 0; i < 20; ++i) EXPECT_EQ(pool_of(3)->threads(), 3);
}

TEST(ThreadPool, RefusesANumberOfThreadsThatMakesNoSense) {
  for (const int threads : {0, -1, ThreadPool::max_threads + 1}) {
    auto pool = ThreadPool::start(threads);
    ASSERT_FALSE(pool.has_value());
    EXPECT_NE(pool.error().what.find(std::to_string(threads)), std::string::npos);
  }
}

}  // namespace
}  // namespace ftl
