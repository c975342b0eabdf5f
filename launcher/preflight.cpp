#include "launcher/preflight.h"

#include <algorithm>

#include <fmt/format.h>

namespace ftl {
namespace {

constexpr std::int64_t mebibyte = 1 << 20;
// A rank's flight recorder and its share of the MPI library's segments.
constexpr std::int64_t ring_and_library = 6 * mebibyte;

void judge_parallel(const RunConfig& config, std::vector<Failure>& failures) {
  const ParallelConfig& parallel = config.parallel;
  const int world = config.world_size();
  const int model_parallel = parallel.tp * parallel.pp * parallel.cp;
  const int dp = parallel.dp > 0 ? parallel.dp : world / model_parallel;
  if (dp * model_parallel == world) return;
  failures.push_back(
      {FaultKind::parallel_world_mismatch,
       fmt::format("parallel asks for dp {} x tp {} x pp {} x cp {} = {} ranks, but nodes {} x ranks-per-node {} = {}",
                   dp, parallel.tp, parallel.pp, parallel.cp, dp * model_parallel, config.nodes,
                   std::max(1, config.ranks_per_node), world),
       "parallel",
       fmt::format("set parallel.dp to {} (or auto), or start {} ranks", world / model_parallel, dp * model_parallel)});
}

void judge_choices(const RunConfig& config, std::vector<Failure>& failures) {
  if (config.device == "cuda") {
    failures.push_back(
        {FaultKind::not_in_this_version, "training on cuda is not in this version", "device", "use device: cpu"});
  }
  if (config.backend == "nccl") {
    failures.push_back(
        {FaultKind::not_in_this_version, "training over nccl is not in this version", "backend", "use backend: mpi"});
  }
  if (config.engine == "srun") {
    failures.push_back({FaultKind::not_in_this_version, "starting ranks by srun is not in this version", "engine",
                        "use engine: mpirun"});
  }
  if (config.engine == "local" && config.world_size() > 1) {
    failures.push_back({FaultKind::usage_error,
                        fmt::format("engine local starts 1 rank on the CPU, but {} are asked for", config.world_size()),
                        "engine", "use engine: mpirun (or auto)"});
  }
}

void judge_batch(const RunConfig& config, const Placement& placement, Preflight& found) {
  if (placement.world > config.global_batch_size) {
    found.failures.push_back(
        {FaultKind::batch_not_divisible,
         fmt::format("global_batch_size is {}, but there are {} ranks: {} of them would have nothing to do",
                     config.global_batch_size, placement.world, placement.world - config.global_batch_size),
         "global_batch_size",
         fmt::format("use at most {} ranks, or a global_batch_size of at least {}", config.global_batch_size,
                     placement.world)});
  }
  const int own = (config.global_batch_size + placement.world - 1) / placement.world;
  if (config.per_device_train_batch_size > own) {
    found.warnings.push_back(
        fmt::format("per_device_train_batch_size is {}, but a rank has at most {} sequences a step",
                    config.per_device_train_batch_size, own));
  }
  if (config.global_batch_size % placement.world != 0) {
    found.warnings.push_back(
        fmt::format("global_batch_size {} does not divide evenly among {} ranks: some wait for others",
                    config.global_batch_size, placement.world));
  }
}

void judge_memory(const Placement& placement, const Survey& survey, const MachineFacts& machine, Preflight& found) {
  const std::int64_t state = node_state_bytes(placement, survey);
  if (!machine.state_places.empty()) {
    if (auto chosen = choose_state_place(machine.state_places, state); !chosen)
      found.failures.push_back(chosen.error());
  }
  const std::int64_t memory = placement.world * memory_of_rank(survey, MemoryPlace::process) + state +
                              memory_of_rank(survey, MemoryPlace::mapped);
  if (machine.memory_available > 0 && memory > machine.memory_available) {
    found.warnings.push_back(fmt::format("{} ranks need about {} MiB together, but {} MiB of memory are available",
                                         placement.world, memory / mebibyte, machine.memory_available / mebibyte));
  }
}

void judge_storage(const RunConfig& config, const Survey& survey, const MachineFacts& machine, Preflight& found) {
  const std::int64_t checkpoint = 3 * survey.trainable_parameters * static_cast<std::int64_t>(sizeof(float));
  const std::int64_t kept = checkpoint * (std::max(1, config.save_total_limit) + 1);
  if (machine.output_free > 0 && kept > machine.output_free) {
    found.failures.push_back(
        {FaultKind::storage_full,
         fmt::format("{} checkpoints need {} MiB, but {} MiB are free", std::max(1, config.save_total_limit) + 1,
                     kept / mebibyte, machine.output_free / mebibyte),
         config.output_dir, "free space, choose another output_dir, or lower save_total_limit"});
  }
}

}  // namespace

Placement place(const RunConfig& config, int cores) {
  Placement placement;
  placement.world = config.world_size();
  placement.ranks_per_node = std::max(1, config.ranks_per_node);
  placement.backend = config.backend == "auto" ? (placement.world == 1 ? "none" : "mpi") : config.backend;
  placement.engine = config.engine == "auto" ? (placement.backend == "mpi" ? "mpirun" : "local") : config.engine;
  // Logical nodes share this machine, so its cores are divided among all ranks.
  placement.threads_per_rank =
      config.threads_per_rank > 0 ? config.threads_per_rank : std::max(1, cores / placement.world);
  return placement;
}

std::vector<Failure> judge_configuration(const RunConfig& config, const MachineFacts& machine) {
  std::vector<Failure> failures;
  judge_parallel(config, failures);
  judge_choices(config, failures);
  failures.insert(failures.end(), machine.paths.begin(), machine.paths.end());
  return failures;
}

Preflight judge_fit(const RunConfig& config, const Placement& placement, const Survey& survey,
                    const MachineFacts& machine) {
  Preflight found;
  found.failures = survey.failures;
  found.warnings = survey.warnings;
  judge_batch(config, placement, found);
  if (placement.engine == "mpirun" && !machine.mpirun_found) {
    found.failures.push_back({FaultKind::backend_unavailable,
                              fmt::format("{} ranks need mpirun, which is not on the PATH", placement.world), "PATH",
                              "install Open MPI (Debian: openmpi-bin), or run one rank"});
  }
  if (placement.backend == "mpi" && !machine.mpi_backend_found) {
    found.failures.push_back({FaultKind::backend_unavailable, "libftl_mpi.so is not beside the binaries", "",
                              "build ftlaunch where Open MPI's headers are"});
  }
  judge_memory(placement, survey, machine, found);
  judge_storage(config, survey, machine, found);
  return found;
}

std::int64_t node_state_bytes(const Placement& placement, const Survey& survey) {
  return placement.world * (memory_of_rank(survey, MemoryPlace::shared) + ring_and_library);
}

int exit_code(const std::vector<Failure>& failures) {
  int code = 0;
  for (const Failure& failure : failures) {
    const int own = info(failure.kind).stage == Stage::run ? 3 : exit_code(failure.kind);
    code = code == 0 ? own : std::min(code, own);
  }
  return code;
}

}  // namespace ftl
