// Matrix products and attention of model sizes, in GFLOP/s and as a share of the machine's fastest product. Argument
// `threads` of every row is the stream's.
#include <benchmark/benchmark.h>

#include <bit>
#include <cmath>
#include <functional>

#ifdef FTL_HAVE_OPENBLAS
#include <cblas.h>
#endif

#include "bench/kernels/machine.h"

namespace ftl {
namespace {

void report_products(benchmark::State& state, double operations, int threads) {
  const double all = operations * static_cast<double>(state.iterations());
  state.counters["GFLOP/s"] = benchmark::Counter(1e-9 * all, benchmark::Counter::kIsRate);
  state.counters["of_peak"] = benchmark::Counter(all / product_peak(threads), benchmark::Counter::kIsRate);
}

// Arguments: m, n, k, transpose_a, transpose_b, threads, bf16 (of B).
void matmul(benchmark::State& state) {
  const std::int64_t m = state.range(0), n = state.range(1), k = state.range(2);
  const bool ta = state.range(3) != 0, tb = state.range(4) != 0;
  const int threads = static_cast<int>(state.range(5));
  product_peak(threads);  // before anything of this row is in the caches
  const Cpu cpu(threads);
  const std::vector<float> a = bench_values(m * k), b = bench_values(n * k);
  std::vector<float> c(static_cast<std::size_t>(m * n));
  std::vector<std::uint16_t> halves;
  for (const float value : b) halves.push_back(static_cast<std::uint16_t>(std::bit_cast<std::uint32_t>(value) >> 16));
  MatMul product{a.data(), {b.data()}, c.data(), m, n, k, ta ? m : k, tb ? k : n, n, ta, tb, 1, 0};
  if (state.range(6) != 0) product.b = {.f32 = nullptr, .bf16 = halves.data()};
  for (auto _ : state) cpu.device->kernels().matmul(*cpu.stream, product);
  report_products(state, 2.0 * static_cast<double>(m * n * k), threads);
}

// Arguments: m, n, k, transpose_a, transpose_b: the products of a step of the example (192 wide) and of a 135M model
// (576).
void product_shapes(const std::function<void(std::vector<std::int64_t>)>& add) {
  for (const std::int64_t rows : {32, 256}) {
    add({rows, 192, 192, 0, 1});
    add({rows, 512, 192, 0, 1});
    add({rows, 576, 576, 0, 1});
    add({rows, 1536, 576, 0, 1});
    add({rows, 576, 1536, 0, 0});
    add({rows, 16, 576, 0, 1});
    add({rows, 576, 16, 0, 1});
    add({16, 576, rows, 1, 0});
    add({1536, 16, rows, 1, 0});
    add({rows, 16, 1536, 0, 0});
  }
  add({1, 576, 576, 0, 1});
  add({128, 49152, 576, 0, 1});
}
BENCHMARK(matmul)
    ->Apply([](benchmark::internal::Benchmark* bench) {
      for (const std::int64_t threads : {1, 2}) {
        for (const std::int64_t bf16 : {0, 1}) {
          product_shapes([&](std::vector<std::int64_t> shape) {
            shape.insert(shape.end(), {threads, bf16});
            bench->Args(shape);
          });
        }
      }
    })
    ->UseRealTime()
    ->MinTime(0.05);

#ifdef FTL_HAVE_OPENBLAS
// The same products by OpenBLAS on one thread. Arguments: m, n, k, transpose_a, transpose_b.
void openblas(benchmark::State& state) {
  const std::int64_t m = state.range(0), n = state.range(1), k = state.range(2);
  const bool ta = state.range(3) != 0, tb = state.range(4) != 0;
  product_peak(1);
  openblas_set_num_threads(1);
  const std::vector<float> a = bench_values(m * k), b = bench_values(n * k);
  std::vector<float> c(static_cast<std::size_t>(m * n));
  for (auto _ : state) {
    cblas_sgemm(CblasRowMajor, ta ? CblasTrans : CblasNoTrans, tb ? CblasTrans : CblasNoTrans, static_cast<int>(m),
                static_cast<int>(n), static_cast<int>(k), 1, a.data(), static_cast<int>(ta ? m : k), b.data(),
                static_cast<int>(tb ? k : n), 0, c.data(), static_cast<int>(n));
  }
  report_products(state, 2.0 * static_cast<double>(m * n * k), 1);
}
BENCHMARK(openblas)
    ->Apply([](benchmark::internal::Benchmark* bench) {
      product_shapes([&](const std::vector<std::int64_t>& shape) { bench->Args(shape); });
    })
    ->UseRealTime()
    ->MinTime(0.05);
#endif

struct AttentionCase {
  explicit AttentionCase(const benchmark::State& state)
      : rows(state.range(0)),
        heads(state.range(1)),
        kv_heads(state.range(2)),
        d(state.range(3)),
        q(bench_values(rows * heads * d)),
        k(bench_values(rows * kv_heads * d)),
        v(k),
        out(q.size()),
        lse(static_cast<std::size_t>(rows * heads)) {}
  void forward(const Cpu& cpu) {
    cpu.device->kernels().attention_forward(*cpu.stream, {q.data(), k.data(), v.data(), out.data(), lse.data(), rows,
                                                          rows, heads, kv_heads, d, 0, scale()});
  }
  float scale() const { return 1 / std::sqrt(static_cast<float>(d)); }
  // Of one product with the scores; the causal half counts, not what the mask hides.
  double operations() const { return static_cast<double>(rows * (rows + 1) * heads * d); }

  std::int64_t rows, heads, kv_heads, d;
  std::vector<float> q, k, v, out, lse;
};

// Arguments: rows, heads, kv_heads, head_dim, threads.
void attention_forward(benchmark::State& state) {
  const int threads = static_cast<int>(state.range(4));
  product_peak(threads);
  const Cpu cpu(threads);
  AttentionCase test(state);
  for (auto _ : state) test.forward(cpu);
  report_products(state, 2 * test.operations(), threads);
}
void attention_backward(benchmark::State& state) {
  const int threads = static_cast<int>(state.range(4));
  product_peak(threads);
  const Cpu cpu(threads);
  AttentionCase test(state);
  test.forward(cpu);
  const std::vector<float> d_out = test.q;
  std::vector<float> dq(test.q.size()), dk(test.k.size()), dv(test.v.size()),
      scratch(static_cast<std::size_t>(attention_scratch_floats(test.rows, test.heads, test.d)));
  for (auto _ : state) {
    cpu.device->kernels().attention_backward(
        *cpu.stream,
        {test.q.data(), test.k.data(), test.v.data(), test.out.data(), test.lse.data(), d_out.data(), dq.data(),
         dk.data(), dv.data(), scratch.data(), test.rows, test.heads, test.kv_heads, test.d, test.scale()});
  }
  report_products(state, 5 * test.operations(), threads);
}
void attention_shapes(benchmark::internal::Benchmark* bench) {
  bench->Args({128, 6, 2, 32, 1})->Args({256, 9, 3, 64, 1})->Args({256, 9, 3, 64, 2})->Args({2048, 9, 3, 64, 2});
  bench->UseRealTime()->MinTime(0.05);
}
BENCHMARK(attention_forward)->Apply(attention_shapes);
BENCHMARK(attention_backward)->Apply(attention_shapes);

}  // namespace
}  // namespace ftl

BENCHMARK_MAIN();
