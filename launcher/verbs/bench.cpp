// ftlaunch bench: whole steps of a configuration on this machine, by a real run (ranks, keepers, watchdog, hot state)
// in a directory of its own that is removed afterwards.
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <thread>

#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "checkpoints/files.h"
#include "comm/clock.h"
#include "launcher/verbs/command_line.h"
#include "launcher/verbs/isolation.h"
#include "launcher/verbs/run_options.h"
#include "launcher/verbs/verb.h"
#include "trainer/model/arithmetic.h"
#include "trainer/run_inputs.h"

namespace ftl {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr std::int64_t steps_left_out = 2;  // at the beginning: memory is touched for the first time

struct Request {
  RunOptions run;
  std::int64_t steps = 12;
  bool json = false;
};

// Removed with all that is in it.
class ScratchDirectory {
 public:
  ScratchDirectory() {
    std::error_code error;
    std::string pattern = (fs::temp_directory_path(error) / "ftl-bench-XXXXXX").string();
    if (!error && ::mkdtemp(pattern.data()) != nullptr) path_ = pattern;
  }
  ScratchDirectory(const ScratchDirectory&) = delete;
  ScratchDirectory& operator=(const ScratchDirectory&) = delete;
  ~ScratchDirectory() {
    std::error_code error;
    if (!path_.empty()) fs::remove_all(path_, error);
  }
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

// Floating-point operations of each of the first `steps` steps, all ranks together; a JSON array, for it crosses the
// border of a child process. A failure's text otherwise.
std::string operations_of_steps(const RunConfig& config, std::int64_t steps) {
  PosixFiles files;
  const Result<RunInputs> inputs = load_inputs(files, config, cores_of_machine());
  if (!inputs) return describe(inputs.error());
  const AdapterShape* adapter = inputs->adapter_shape ? &*inputs->adapter_shape : nullptr;
  const std::vector<Example>& train = inputs->examples.train;
  Json operations = Json::array();
  for (std::int64_t step = 0; step < steps; ++step) {
    double sum = 0;
    for (const std::int64_t index :
         examples_of_step(config.seed, static_cast<std::int64_t>(train.size()), config.global_batch_size, step)) {
      const Example& example = train[static_cast<std::size_t>(index)];
      // Position i - 1 predicts token i, and none after the last supervised one is computed.
      const auto last = std::ranges::find(example.supervised.rbegin(), example.supervised.rend(), 1);
      sum += arithmetic_of_pass(inputs->model_config, adapter, example.supervised.rend() - last - 1,
                                example.supervised_count())
                 .all();
    }
    operations.push_back(sum);
  }
  return operations.dump();
}

// GFLOP/s of a product of three 1024 x 1024 matrices on all threads of the run: what a step can be compared with.
Result<double> speed_of_a_large_product(int threads) {
  constexpr std::int64_t size = 1024;
  Result<std::unique_ptr<Device>> device = make_cpu_device();
  if (!device) return device.error();
  Result<std::unique_ptr<Stream>> stream = (*device)->make_stream(threads);
  if (!stream) return stream.error();
  const std::vector<float> a(size * size, 0.5F), b(size * size, 0.25F);
  std::vector<float> c(size * size);
  const MatMul product{a.data(), {b.data()}, c.data(), size, size, size, size, size, size, false, true, 1, 0};
  SystemClock clock;
  double best = 0;
  for (int i = 0; i < 10; ++i) {
    const TimePoint began = clock.now();
    (*device)->kernels().matmul(**stream, product);
    const double seconds = std::chrono::duration<double>(clock.now() - began).count();
    best = std::max(best, 2e-9 * size * size * size / seconds);
  }
  return best;
}

struct Measured {
  double seconds = 0, fastest = 0, slowest = 0;  // of a step: median, least, most
  double tokens_per_second = 0;
  double operations_per_second = 0;
  std::int64_t steps = 0;
};

std::optional<Measured> read_metrics(const fs::path& path, const Json& operations) {
  std::ifstream file(path);
  std::vector<double> seconds;
  double all = 0, tokens = 0, work = 0;
  for (std::string line; std::getline(file, line);) {
    const Json record = Json::parse(line, nullptr, false);
    if (!record.is_object() || !record.contains("tokens_per_second")) continue;
    const auto step = record.value("step", std::int64_t{0});
    const double rate = record.value("tokens_per_second", 0.0), of_step = record.value("tokens", 0.0);
    if (step <= steps_left_out || rate <= 0 || static_cast<std::size_t>(step) > operations.size()) continue;
    seconds.push_back(of_step / rate);
    all += seconds.back();
    tokens += of_step;
    work += operations[static_cast<std::size_t>(step - 1)].get<double>();
  }
  if (seconds.empty()) return std::nullopt;
  std::ranges::sort(seconds);
  return Measured{seconds[seconds.size() / 2],
                  seconds.front(),
                  seconds.back(),
                  tokens / all,
                  work / all,
                  static_cast<std::int64_t>(seconds.size())};
}

// The run itself, in a child: its ranks' memory is then known to this process as that of its descendants.
int run_steps(const Request& request, const fs::path& directory) {
  Arguments arguments{"--config", request.run.config_path, "--quiet",         "--resume",
                      "never",    "--output-dir",          directory.string()};
  const auto add = [&](const char* option, const std::string& value) {
    if (!value.empty()) arguments.insert(arguments.end(), {option, value});
  };
  add("--nodes", request.run.nodes);
  add("--ranks-per-node", request.run.ranks_per_node);
  add("--backend", request.run.backend);
  add("--engine", request.run.engine);
  for (const std::string& setting : request.run.set) add("--set", setting);
  for (const char* setting : {"save_steps=0", "eval_steps=0", "warmup_steps=0", "warmup_ratio=0"})
    add("--set", setting);
  add("--set", fmt::format("max_steps={}", request.steps));
  // What is left when the run has been asked to stop is then tidied up here.
  return exit_code_from_child(
      "the run",
      [&] {
        ::dup2(STDERR_FILENO, STDOUT_FILENO);  // standard output is for what was measured
        return run_run(arguments);
      },
      Requests::pass_on);
}

void print(const Request& request, const Placement& placement, const Measured& measured, double large_product,
           std::int64_t peak_bytes) {
  const double gigaflops = measured.operations_per_second * 1e-9, share = gigaflops / large_product;
  if (request.json) {
    const Json json = {
        {"schema", "ftlaunch.bench/1"},
        {"world_size", placement.world},
        {"threads_per_rank", placement.threads_per_rank},
        {"steps", measured.steps},
        {"step_seconds", {{"median", measured.seconds}, {"least", measured.fastest}, {"most", measured.slowest}}},
        {"tokens_per_second", measured.tokens_per_second},
        {"gflops", gigaflops},
        {"large_product_gflops", large_product},
        {"share_of_large_product", share},
        {"peak_rss_bytes", peak_bytes}};
    std::puts(json.dump(2).c_str());
    return;
  }
  std::puts(fmt::format("ranks       {} of {} thread(s)", placement.world, placement.threads_per_rank).c_str());
  std::puts(fmt::format("step        {:.4g} s, the median of {} ({:.4g} to {:.4g}); the first {} left out",
                        measured.seconds, measured.steps, measured.fastest, measured.slowest, steps_left_out)
                .c_str());
  std::puts(fmt::format("speed       {:.0f} tokens/s", measured.tokens_per_second).c_str());
  std::puts(fmt::format("arithmetic  {:.1f} GFLOP/s, {:.0f} % of the {:.1f} GFLOP/s of one large matrix product",
                        gigaflops, 100 * share, large_product)
                .c_str());
  std::puts(
      fmt::format("memory      {:.0f} MiB, the peak of the largest process", static_cast<double>(peak_bytes) / 1048576)
          .c_str());
}

int bench(const Request& request, const RunConfig& config) {
  const Placement placement = place(config, cores_of_machine());
  const ScratchDirectory scratch;
  if (scratch.path().empty()) {
    return refuse(Failure{FaultKind::storage_failed, "no directory for the run can be made", "TMPDIR",
                          "let TMPDIR name a directory that can be written"});
  }
  // The run says what is wrong with a configuration, in its own words.
  if (const int code = run_steps(request, scratch.path() / "run"); code != 0) return code;
  rusage used{};
  ::getrusage(RUSAGE_CHILDREN, &used);
  const Result<std::string> text =
      text_from_child("counting operations", [&] { return operations_of_steps(config, request.steps); });
  if (!text) return refuse(text.error());
  const Json operations = Json::parse(*text, nullptr, false);
  const auto measured =
      operations.is_array() ? read_metrics(scratch.path() / "run" / "metrics.jsonl", operations) : std::nullopt;
  if (!measured)
    return refuse(Failure{FaultKind::internal_error, "the run has left no step to measure", "metrics.jsonl", ""});
  const Result<double> large_product = speed_of_a_large_product(placement.world * placement.threads_per_rank);
  if (!large_product) return refuse(large_product.error());
  print(request, placement, *measured, *large_product, std::int64_t{used.ru_maxrss} * 1024);
  return 0;
}

}  // namespace

int run_bench(const Arguments& arguments) {
  CLI::App app("Speed of whole steps: a short real run of a configuration, in a directory of its own.",
               "ftlaunch bench");
  Request request;
  app.add_option("--config", request.run.config_path, "the run's configuration (YAML)")->required();
  app.add_option("--nodes", request.run.nodes, "as of `ftlaunch run`");
  app.add_option("--ranks-per-node", request.run.ranks_per_node, "as of `ftlaunch run`");
  app.add_option("--backend", request.run.backend, "as of `ftlaunch run`");
  app.add_option("--engine", request.run.engine, "as of `ftlaunch run`");
  app.add_option("--set", request.run.set, "override a configuration key: key.sub=value")->take_all()->expected(1);
  app.add_option("--steps", request.steps, "steps to run; the first two are not counted")
      ->check(CLI::Range(3, 100'000));
  app.add_flag("--json", request.json, "machine-readable output");
  if (auto code = parse(app, arguments)) return *code;
  const ConfigOrCode read = read_run_options(request.run);
  if (!read.read) return read.code;
  if (read.read->config.backend == "fake") {
    return refuse(Failure{FaultKind::usage_error, "backend fake has no speed", "--backend", "use backend auto or mpi"});
  }
  return bench(request, read.read->config);
}

}  // namespace ftl
