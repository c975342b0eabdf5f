// How fast the CPU computes: matrix products of model sizes in GFLOP/s and as a share of a 1024-cube's speed measured
// first, and the operations around them. Argument `threads` of every row is the stream's.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <bit>
#include <chrono>
#include <cmath>
#include <functional>
#include <map>
#include <vector>

#ifdef FTL_HAVE_OPENBLAS
#include <cblas.h>
#endif

#include "kernels/device.h"

namespace {

using namespace ftl;

struct Cpu {
  explicit Cpu(int threads)
      : device(std::move(make_cpu_device()).value()), stream(std::move(device->make_stream(threads)).value()) {}
  std::unique_ptr<Device> device;
  std::unique_ptr<Stream> stream;
};

std::vector<float> floats(std::int64_t count) {
  std::vector<float> values(static_cast<std::size_t>(count));
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i % 17) * 0.1f - 0.8f;
  return values;
}

// GFLOP/s of a large product on so many threads, measured once.
double peak(int threads) {
  static std::map<int, double> known;
  if (known.contains(threads)) return known[threads];
  constexpr std::int64_t size = 1024;
  Cpu cpu(threads);
  const std::vector<float> a = floats(size * size), b = floats(size * size);
  std::vector<float> c(a.size());
  double best = 0;
  for (int i = 0; i < 8; ++i) {
    const auto start = std::chrono::steady_clock::now();
    cpu.device->kernels().matmul(
        *cpu.stream, {a.data(), {b.data()}, c.data(), size, size, size, size, size, size, false, true, 1, 0});
    const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
    best = std::max(best, 2e-9 * size * size * size / taken.count());
  }
  return known[threads] = best;
}

// Arguments: m, n, k, transpose_a, transpose_b, threads, bf16 (of B).
void matmul(benchmark::State& state) {
  const std::int64_t m = state.range(0), n = state.range(1), k = state.range(2);
  const bool ta = state.range(3) != 0, tb = state.range(4) != 0;
  const int threads = static_cast<int>(state.range(5));
  const double fastest = peak(threads);
  Cpu cpu(threads);
  const std::vector<float> a = floats(m * k), b = floats(n * k);
  std::vector<float> c(static_cast<std::size_t>(m * n));
  std::vector<std::uint16_t> halves;
  for (const float value : b) halves.push_back(static_cast<std::uint16_t>(std::bit_cast<std::uint32_t>(value) >> 16));
  MatMul product{a.data(), {b.data()}, c.data(), m, n, k, ta ? m : k, tb ? k : n, n, ta, tb, 1, 0};
  if (state.range(6) != 0) product.b = {.f32 = nullptr, .bf16 = halves.data()};
  for (auto _ : state) cpu.device->kernels().matmul(*cpu.stream, product);
  const double work = 2e-9 * static_cast<double>(m * n * k) * static_cast<double>(state.iterations());
  state.counters["GFLOP/s"] = benchmark::Counter(work, benchmark::Counter::kIsRate);
  state.counters["of_peak"] = benchmark::Counter(work / fastest, benchmark::Counter::kIsRate);
}

// Arguments: m, n, k, transpose_a, transpose_b: the products of a step of the example (192 wide) and of a 135M model
// (576).
void matmul_shapes(const std::function<void(std::vector<std::int64_t>)>& add) {
  for (const std::int64_t rows : {32, 256}) {
    add({rows, 192, 192, 0, 1});
    add({rows, 512, 192, 0, 1});
    add({rows, 576, 576, 0, 1});
    add({rows, 1536, 576, 0, 1});
    add({rows, 576, 1536, 0, 0});
    add({rows, 16, 576, 0, 1});
    add({rows, 576, 16, 0, 1});
    add({16, 576, rows, 1, 0});
  }
  add({1, 576, 576, 0, 1});
  add({128, 49152, 576, 0, 1});
}
BENCHMARK(matmul)
    ->Apply([](benchmark::internal::Benchmark* bench) {
      for (const std::int64_t threads : {1, 2}) {
        for (const std::int64_t bf16 : {0, 1}) {
          matmul_shapes([&](std::vector<std::int64_t> shape) {
            shape.insert(shape.end(), {threads, bf16});
            bench->Args(shape);
          });
        }
      }
    })
    ->UseRealTime()
    ->MinTime(0.05);

#ifdef FTL_HAVE_OPENBLAS
void openblas_sgemm(const MatMul& p) {
  const auto m = static_cast<int>(p.m), n = static_cast<int>(p.n), k = static_cast<int>(p.k);
  cblas_sgemm(CblasRowMajor, p.transpose_a ? CblasTrans : CblasNoTrans, p.transpose_b ? CblasTrans : CblasNoTrans, m, n,
              k, p.alpha, p.a, static_cast<int>(p.lda), p.b.f32, static_cast<int>(p.ldb), p.beta, p.c,
              static_cast<int>(p.ldc));
}

// The same products by OpenBLAS on one thread. Arguments: m, n, k, transpose_a, transpose_b.
void openblas(benchmark::State& state) {
  const std::int64_t m = state.range(0), n = state.range(1), k = state.range(2);
  const bool ta = state.range(3) != 0, tb = state.range(4) != 0;
  openblas_set_num_threads(1);
  const std::vector<float> a = floats(m * k), b = floats(n * k);
  std::vector<float> c(static_cast<std::size_t>(m * n));
  const MatMul product{a.data(), {b.data()}, c.data(), m, n, k, ta ? m : k, tb ? k : n, n, ta, tb, 1, 0};
  for (auto _ : state) openblas_sgemm(product);
  const double work = 2e-9 * static_cast<double>(m * n * k) * static_cast<double>(state.iterations());
  state.counters["GFLOP/s"] = benchmark::Counter(work, benchmark::Counter::kIsRate);
}
BENCHMARK(openblas)
    ->Apply([](benchmark::internal::Benchmark* bench) {
      matmul_shapes([&](const std::vector<std::int64_t>& shape) { bench->Args(shape); });
    })
    ->UseRealTime()
    ->MinTime(0.05);
#endif

// Arguments: rows, heads, kv_heads, head_dim, threads. GFLOP/s counts the causal half only.
void attention(benchmark::State& state) {
  const std::int64_t rows = state.range(0), heads = state.range(1), kv_heads = state.range(2), d = state.range(3);
  Cpu cpu(static_cast<int>(state.range(4)));
  const std::vector<float> q = floats(rows * heads * d), k = floats(rows * kv_heads * d), v = k, d_out = q;
  std::vector<float> out(q.size()), lse(static_cast<std::size_t>(rows * heads)), dq(q.size()), dk(k.size()),
      dv(k.size());
  std::vector<float> scratch(static_cast<std::size_t>(attention_scratch_floats(rows, heads, d)));
  const float scale = 1 / std::sqrt(static_cast<float>(d));
  for (auto _ : state) {
    cpu.device->kernels().attention_forward(
        *cpu.stream, {q.data(), k.data(), v.data(), out.data(), lse.data(), rows, rows, heads, kv_heads, d, 0, scale});
    cpu.device->kernels().attention_backward(
        *cpu.stream, {q.data(), k.data(), v.data(), out.data(), lse.data(), d_out.data(), dq.data(), dk.data(),
                      dv.data(), scratch.data(), rows, heads, kv_heads, d, scale});
  }
  const double work =
      14e-9 * static_cast<double>(rows * rows / 2 * heads * d) * static_cast<double>(state.iterations());
  state.counters["GFLOP/s"] = benchmark::Counter(work, benchmark::Counter::kIsRate);
}
BENCHMARK(attention)
    ->Args({256, 9, 3, 64, 1})
    ->Args({256, 9, 3, 64, 2})
    ->Args({2048, 9, 3, 64, 2})
    ->UseRealTime()
    ->MinTime(0.05);

void swiglu(benchmark::State& state) {
  Cpu cpu(static_cast<int>(state.range(1)));
  const std::vector<float> gate = floats(state.range(0)), up = gate;
  std::vector<float> y(gate.size());
  for (auto _ : state)
    cpu.device->kernels().swiglu_forward(*cpu.stream, {gate.data(), up.data(), y.data(), state.range(0)});
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(swiglu)->Args({256 * 1536, 1})->Args({256 * 1536, 2})->UseRealTime()->MinTime(0.05);

// Arguments: rows, vocabulary, threads.
void cross_entropy(benchmark::State& state) {
  Cpu cpu(static_cast<int>(state.range(2)));
  std::vector<float> logits = floats(state.range(0) * state.range(1)), losses(static_cast<std::size_t>(state.range(0)));
  const std::vector<std::int32_t> targets(losses.size(), 7);
  float sum = 0;
  for (auto _ : state) {
    cpu.device->kernels().cross_entropy(
        *cpu.stream, {logits.data(), targets.data(), &sum, losses.data(), state.range(0), state.range(1), true});
  }
  state.SetItemsProcessed(state.iterations() * state.range(0) * state.range(1));
}
BENCHMARK(cross_entropy)->Args({128, 49152, 1})->Args({128, 49152, 2})->UseRealTime()->MinTime(0.05);

}  // namespace

BENCHMARK_MAIN();
