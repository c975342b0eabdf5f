// What being watched and never losing a step cost: the rank's side (an entry, a heartbeat, a save of hot state after
// every step, a leaf added to the exact sum) and the watchers' side (a keeper's look at the ring, ten times a second).
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "bench/kernels/machine.h"
#include "checkpoints/training_state.h"
#include "comm/clock.h"
#include "comm/exact_sum.h"
#include "comm/flight_recorder.h"
#include "comm/solo_communicator.h"

namespace ftl {
namespace {

constexpr std::int64_t adapter = 4'884'480;  // values of rank 16 on all seven projections of a 135M model

// In node-local memory, as in a run; removed at the end.
class NodeLocal {
 public:
  NodeLocal() {
    std::string pattern = "/dev/shm/ftl-bench-XXXXXX";
    if (::mkdtemp(pattern.data()) == nullptr) std::abort();
    path_ = pattern;
  }
  NodeLocal(const NodeLocal&) = delete;
  NodeLocal& operator=(const NodeLocal&) = delete;
  ~NodeLocal() { std::filesystem::remove_all(path_); }
  std::string file(const char* name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

struct Recorded {
  NodeLocal place;
  SystemClock clock;
  FlightRecorder recorder = std::move(FlightRecorder::create(place.file("ring"), Rank{0}, Attempt{1})).value();
};

// The clock is read for every entry, so it is part of its cost.
void recorder_entry(benchmark::State& state) {
  Recorded test;
  for (auto _ : state) test.recorder.enter(Phase::forward, Step{1}, test.clock.now());
}
BENCHMARK(recorder_entry);

void recorder_heartbeat(benchmark::State& state) {
  Recorded test;
  for (auto _ : state) test.recorder.heartbeat(Phase::forward, test.clock.now());
}
BENCHMARK(recorder_heartbeat);

void recorder_collective(benchmark::State& state) {
  Recorded test;
  const CollectiveSignature signature{Operation::exact_sum, DType::f32, adapter, 0, 1};
  for (auto _ : state) {
    const std::uint64_t collective = test.recorder.collective_started(signature, test.clock.now());
    test.recorder.collective_completed(collective, test.clock.now());
  }
}
BENCHMARK(recorder_collective);

void keeper_reads_the_ring(benchmark::State& state) {
  Recorded test;
  for (int i = 0; i < 5000; ++i) test.recorder.enter(Phase::forward, Step{1}, test.clock.now());
  const std::string path = test.place.file("ring");
  for (auto _ : state) benchmark::DoNotOptimize(read_ring(path, 8));
}
BENCHMARK(keeper_reads_the_ring);

void hot_state_save(benchmark::State& state) {
  const NodeLocal place;
  std::vector<float> values(adapter, 1.0F), first(adapter), second(adapter);
  const std::vector<TrainableView> views{{"adapter", {adapter}, values, first, second}};
  HotState hot = std::move(HotState::open(place.file("hot"), 1, views)).value();
  TrainerState trainer{.step = 0, .run_identity = "bench", .platform = "bench"};
  for (std::int64_t step = 1; step <= 128; ++step) remember(trainer.recent, {.step = step, .loss = 1, .tokens = 1024});
  hot.save(views, trainer);
  hot.save(views, trainer);  // both slots are touched
  for (auto _ : state) {
    ++trainer.step;
    hot.save(views, trainer);
  }
}
BENCHMARK(hot_state_save)->Unit(benchmark::kMillisecond);

// Three additions, and the copies of the gradients into the tree.
void exact_sum_of_four_leaves(benchmark::State& state) {
  ExactSum sum(Rank{0}, WorldSize{1}, 4, adapter);
  const std::vector<float> leaf = bench_values(adapter);
  Recorded test;
  const std::unique_ptr<Communicator> alone = make_solo_communicator();
  const AwaitLimits limits{};
  for (auto _ : state) {
    for (std::int64_t i = 0; i < 4; ++i) {
      std::ranges::copy(leaf, sum.next_leaf().begin());
      sum.add_leaf(i);
    }
    benchmark::DoNotOptimize(sum.finish(*alone, test.recorder, test.clock, limits, Step{1}));
  }
}
BENCHMARK(exact_sum_of_four_leaves)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace ftl
