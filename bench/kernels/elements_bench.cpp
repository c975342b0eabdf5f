// Operations that read and write each element a few times, at the sizes of a 135M model's step (256 tokens, width 576):
// in GB/s, and as a share of what copying between large arrays reaches. What stays in a cache can pass that.
// Argument of every row: threads.
#include <benchmark/benchmark.h>

#include "bench/kernels/machine.h"

namespace ftl {
namespace {

constexpr std::int64_t rows = 256, width = 576, ffn = 1536, heads = 9, head_dim = 64, vocabulary = 49152,
                       head_rows = 128, adapter = 4'884'480;  // values of rank 16 on all seven projections

// `bytes`: read and written by one call.
template <class Work>
void measure(benchmark::State& state, std::int64_t bytes, const Work& work) {
  const int threads = static_cast<int>(state.range(0));
  const double bandwidth = memory_bandwidth(threads);
  const Cpu cpu(threads);
  for (auto _ : state) work(*cpu.stream, cpu.device->kernels());
  const double all = static_cast<double>(bytes) * static_cast<double>(state.iterations());
  state.counters["GB/s"] = benchmark::Counter(1e-9 * all, benchmark::Counter::kIsRate);
  state.counters["of_memory"] = benchmark::Counter(all / bandwidth, benchmark::Counter::kIsRate);
}

constexpr std::int64_t of_floats(std::int64_t count) { return count * std::int64_t{sizeof(float)}; }

void embedding_forward(benchmark::State& state) {
  const std::vector<std::uint16_t> table(static_cast<std::size_t>(vocabulary * width), 0x3f80);
  std::vector<std::int32_t> ids;
  for (std::int64_t i = 0; i < rows; ++i) ids.push_back(static_cast<std::int32_t>(i * 7919 % vocabulary));
  std::vector<float> y(static_cast<std::size_t>(rows * width));
  measure(state, rows * width * 6, [&](Stream& stream, const KernelTable& kernels) {
    kernels.embedding_forward(stream, {ids.data(), {.bf16 = table.data()}, y.data(), rows, width});
  });
}
void rms_norm_forward(benchmark::State& state) {
  const std::vector<float> x = bench_values(rows * width), gain = bench_values(width);
  std::vector<float> y(x.size()), inverse(rows);
  measure(state, of_floats(2 * rows * width), [&](Stream& stream, const KernelTable& kernels) {
    kernels.rms_norm_forward(stream, {x.data(), gain.data(), y.data(), inverse.data(), rows, width, 1e-5F});
  });
}
void rms_norm_backward(benchmark::State& state) {
  const std::vector<float> x = bench_values(rows * width), gain = bench_values(width), dy = x, inverse(rows, 1.0F);
  std::vector<float> dx(x.size());
  measure(state, of_floats(4 * rows * width), [&](Stream& stream, const KernelTable& kernels) {
    kernels.rms_norm_backward(
        stream, {x.data(), gain.data(), inverse.data(), dy.data(), dx.data(), nullptr, rows, width, true});
  });
}
void rope(benchmark::State& state) {
  std::vector<float> x = bench_values(rows * heads * head_dim);
  const std::vector<float> cosine(rows * head_dim / 2, 1.0F), sine(cosine.size(), 0.0F);
  measure(state, of_floats(2 * rows * heads * head_dim), [&](Stream& stream, const KernelTable& kernels) {
    kernels.rope(stream, {x.data(), cosine.data(), sine.data(), rows, heads, head_dim, 0, false});
  });
}
void swiglu_forward(benchmark::State& state) {
  const std::vector<float> gate = bench_values(rows * ffn), up = gate;
  std::vector<float> y(gate.size());
  measure(state, of_floats(3 * rows * ffn), [&](Stream& stream, const KernelTable& kernels) {
    kernels.swiglu_forward(stream, {gate.data(), up.data(), y.data(), rows * ffn});
  });
}
void swiglu_backward(benchmark::State& state) {
  const std::vector<float> gate = bench_values(rows * ffn), up = gate, dy = gate;
  std::vector<float> d_gate(gate.size()), d_up(gate.size());
  measure(state, of_floats(5 * rows * ffn), [&](Stream& stream, const KernelTable& kernels) {
    kernels.swiglu_backward(stream, {gate.data(), up.data(), dy.data(), d_gate.data(), d_up.data(), rows * ffn});
  });
}
void geglu_forward(benchmark::State& state) {
  const std::vector<float> gate = bench_values(rows * ffn), up = gate;
  std::vector<float> y(gate.size());
  measure(state, of_floats(3 * rows * ffn), [&](Stream& stream, const KernelTable& kernels) {
    kernels.geglu_forward(stream, {gate.data(), up.data(), y.data(), rows * ffn});
  });
}
void geglu_backward(benchmark::State& state) {
  const std::vector<float> gate = bench_values(rows * ffn), up = gate, dy = gate;
  std::vector<float> d_gate(gate.size()), d_up(gate.size());
  measure(state, of_floats(5 * rows * ffn), [&](Stream& stream, const KernelTable& kernels) {
    kernels.geglu_backward(stream, {gate.data(), up.data(), dy.data(), d_gate.data(), d_up.data(), rows * ffn});
  });
}
void cross_entropy(benchmark::State& state) {
  std::vector<float> logits = bench_values(head_rows * vocabulary), losses(head_rows);
  const std::vector<std::int32_t> targets(losses.size(), 7);
  float sum = 0;
  measure(state, of_floats(3 * head_rows * vocabulary), [&](Stream& stream, const KernelTable& kernels) {
    kernels.cross_entropy(stream, {logits.data(), targets.data(), &sum, losses.data(), head_rows, vocabulary, true});
  });
}
void gather_rows(benchmark::State& state) {
  const std::vector<float> x = bench_values(rows * width);
  std::vector<float> y(x.size());
  std::vector<std::int32_t> indices;
  for (std::int32_t i = 0; i < rows; ++i) indices.push_back(i);
  measure(state, of_floats(2 * rows * width), [&](Stream& stream, const KernelTable& kernels) {
    kernels.gather_rows(stream, {x.data(), indices.data(), y.data(), rows, width});
  });
}
void add(benchmark::State& state) {
  const std::vector<float> x = bench_values(rows * width);
  std::vector<float> y(x.size());
  measure(state, of_floats(3 * rows * width), [&](Stream& stream, const KernelTable& kernels) {
    kernels.add(stream, {x.data(), y.data(), rows * width, 1.0F});
  });
}
void squared_norm(benchmark::State& state) {
  const std::vector<float> x = bench_values(adapter);
  double sum = 0;
  std::int64_t non_finite = -1;
  measure(state, of_floats(adapter), [&](Stream& stream, const KernelTable& kernels) {
    kernels.squared_norm(stream, {x.data(), &sum, &non_finite, adapter});
  });
}
void adamw(benchmark::State& state) {
  std::vector<float> parameters = bench_values(adapter), m(parameters.size()), v(parameters.size());
  const std::vector<float> gradient = parameters;
  measure(state, of_floats(7 * adapter), [&](Stream& stream, const KernelTable& kernels) {
    kernels.adamw(stream, {parameters.data(), gradient.data(), m.data(), v.data(), adapter, 1, 1e-6F, 0.9F, 0.999F,
                           1e-8F, 0.0F, 1.0F});
  });
}

void on_one_and_two_threads(benchmark::internal::Benchmark* bench) {
  bench->Arg(1)->Arg(2)->UseRealTime()->MinTime(0.05);
}
BENCHMARK(embedding_forward)->Apply(on_one_and_two_threads);
BENCHMARK(rms_norm_forward)->Apply(on_one_and_two_threads);
BENCHMARK(rms_norm_backward)->Apply(on_one_and_two_threads);
BENCHMARK(rope)->Apply(on_one_and_two_threads);
BENCHMARK(swiglu_forward)->Apply(on_one_and_two_threads);
BENCHMARK(swiglu_backward)->Apply(on_one_and_two_threads);
BENCHMARK(geglu_forward)->Apply(on_one_and_two_threads);
BENCHMARK(geglu_backward)->Apply(on_one_and_two_threads);
BENCHMARK(cross_entropy)->Apply(on_one_and_two_threads);
BENCHMARK(gather_rows)->Apply(on_one_and_two_threads);
BENCHMARK(add)->Apply(on_one_and_two_threads);
BENCHMARK(squared_norm)->Apply(on_one_and_two_threads);
BENCHMARK(adamw)->Apply(on_one_and_two_threads);

}  // namespace
}  // namespace ftl
