#include "bench/kernels/machine.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <functional>
#include <map>

#ifdef FTL_HAVE_OPENBLAS
#include <cblas.h>
#endif

#include "kernels/thread_pool.h"

namespace ftl {
namespace {

double seconds_of(const std::function<void()>& work) {
  const auto began = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
}

// The best of `tries`, of what does `amount` each time.
double best_rate(double amount, int tries, const std::function<void()>& work) {
  double best = 0;
  for (int i = 0; i < tries; ++i) best = std::max(best, amount / seconds_of(work));
  return best;
}

}  // namespace

Cpu::Cpu(int threads)
    : device(std::move(make_cpu_device()).value()), stream(std::move(device->make_stream(threads)).value()) {}

std::vector<float> bench_values(std::int64_t count) {
  std::vector<float> values(static_cast<std::size_t>(count));
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i % 17) * 0.1F - 0.8F;
  return values;
}

double product_peak(int threads) {
  static std::map<int, double> known;
  if (const auto at = known.find(threads); at != known.end()) return at->second;
  constexpr std::int64_t size = 1024;
  constexpr double operations = 2.0 * size * size * size;
  const Cpu cpu(threads);
  const std::vector<float> a = bench_values(size * size), b = a;
  std::vector<float> c(a.size());
  const MatMul product{a.data(), {b.data()}, c.data(), size, size, size, size, size, size, false, true, 1, 0};
  double best = best_rate(operations, 10, [&] { cpu.device->kernels().matmul(*cpu.stream, product); });
#ifdef FTL_HAVE_OPENBLAS
  openblas_set_num_threads(threads);
  best = std::max(best, best_rate(operations, 10, [&] {
                    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, size, size, size, 1, a.data(), size, b.data(),
                                size, 0, c.data(), size);
                  }));
#endif
  return known[threads] = best;
}

double memory_bandwidth(int threads) {
  static std::map<int, double> known;
  if (const auto at = known.find(threads); at != known.end()) return at->second;
  constexpr std::int64_t bytes = 256 << 20, block = 4 << 20;
  const auto pool = std::move(ThreadPool::start(threads)).value();
  std::vector<char> from(bytes, 1), to(bytes, 2);
  return known[threads] = best_rate(2.0 * bytes, 6, [&] {
           pool->parallel_blocks(bytes, block, [&](std::int64_t begin, std::int64_t end) {
             std::memcpy(to.data() + begin, from.data() + begin, static_cast<std::size_t>(end - begin));
           });
         });
}

}  // namespace ftl
