#include "launcher/verbs/process_limits.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include <fmt/format.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "launcher/engines/process_table.h"

namespace ftl {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t mebibyte = 1 << 20;
constexpr std::int64_t files_of_launcher = 32;      // and of mpirun: pipes, sockets, logs
constexpr std::int64_t files_of_rank = 8;           // its keeper's connection, mpirun's pipes to it, its log
constexpr std::int64_t least_file = 16 * mebibyte;  // logs, flight recorder, the communication library's segments
// Measured (VmPeak less the planned memory): a rank has 23 MiB of program, Open MPI adds 190 MiB, and mpirun itself has
// 270 MiB; a thread has its stack of 8 MiB and the arena of 64 MiB that the allocator reserves.
constexpr std::int64_t address_of_program = 64 * mebibyte;
constexpr std::int64_t address_of_mpi = 256 * mebibyte;
constexpr std::int64_t address_of_thread = 72 * mebibyte;
constexpr std::int64_t threads_of_mpirun = 4, threads_of_mpi = 2;  // its own; in each rank beside ours

std::optional<std::int64_t> limit_of(int resource) {
  rlimit limit{};
  if (::getrlimit(static_cast<__rlimit_resource>(resource), &limit) != 0 || limit.rlim_cur == RLIM_INFINITY)
    return std::nullopt;
  return static_cast<std::int64_t>(std::min<rlim_t>(limit.rlim_cur, std::int64_t{1} << 62));
}

void raise_open_files(std::int64_t wanted) {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= static_cast<rlim_t>(wanted)) return;
  limit.rlim_cur = std::min(limit.rlim_max, static_cast<rlim_t>(wanted));
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

// The kernel does not hold root and those who may exceed limits to the number of processes (fork(2), EAGAIN).
bool may_have_any_number_of_processes() {
  constexpr std::uint64_t sys_admin = std::uint64_t{1} << 21, sys_resource = std::uint64_t{1} << 24;
  const std::string status = read_small_file("/proc/self/status").value_or("");
  const std::size_t at = status.find("\nCapEff:");
  const std::uint64_t effective =
      at == std::string::npos ? 0 : std::strtoull(status.c_str() + at + std::strlen("\nCapEff:"), nullptr, 16);
  return ::getuid() == 0 || (effective & (sys_admin | sys_resource)) != 0;
}

// Threads of this user, of all processes.
std::int64_t threads_running() {
  std::int64_t threads = 0;
  std::error_code error;
  for (fs::directory_iterator entry("/proc", error), end; !error && entry != end; entry.increment(error)) {
    struct stat about {};
    if (::stat((entry->path() / "task").c_str(), &about) != 0 || about.st_uid != ::getuid()) continue;
    threads += static_cast<std::int64_t>(about.st_nlink) - 2;  // a directory for each, beside . and ..
  }
  return threads;
}

std::string in_words(const std::optional<std::int64_t>& limit) { return limit ? std::to_string(*limit) : "unlimited"; }

}  // namespace

ProcessLimits process_limits(std::int64_t wanted_files) {
  raise_open_files(wanted_files);
  ProcessLimits limits{limit_of(RLIMIT_NOFILE), limit_of(RLIMIT_FSIZE), limit_of(RLIMIT_AS), std::nullopt};
  if (!may_have_any_number_of_processes()) limits.processes = limit_of(RLIMIT_NPROC);
  if (limits.processes) limits.running = threads_running();
  return limits;
}

std::string describe(const ProcessLimits& limits) {
  return fmt::format(
      "open files (ulimit -n) {}, processes and threads of the user (-u) {}, address space (-v) {} bytes",
      in_words(limits.open_files), in_words(limits.processes), in_words(limits.address_bytes));
}

LimitNeeds needs_of(const RunConfig& config, const Placement& placement, const Survey& survey) {
  constexpr auto float_bytes = static_cast<std::int64_t>(sizeof(float));
  LimitNeeds needs;
  needs.open_files = files_of_launcher + files_of_rank * placement.world;
  const std::int64_t final_model = config.adapter == "none" ? survey.model_parameters * float_bytes : 0;
  const std::int64_t shared = memory_of_rank(survey, MemoryPlace::shared);
  const std::int64_t memory =
      shared + memory_of_rank(survey, MemoryPlace::process) + memory_of_rank(survey, MemoryPlace::mapped);
  needs.file_bytes = least_file + std::max({3 * survey.trainable_parameters * float_bytes, final_model, shared});
  const bool mpi = placement.engine == "mpirun";
  const std::int64_t sequences = (config.global_batch_size + placement.world - 1) / placement.world;
  const std::int64_t lanes = std::min<std::int64_t>(config.per_device_train_batch_size, sequences);
  const std::int64_t threads = std::max<std::int64_t>(placement.threads_per_rank, lanes);
  needs.address_bytes = address_of_program + (mpi ? address_of_mpi : 0) + address_of_thread * threads + memory;
  constexpr std::int64_t launcher = 1, keeper = 1;
  needs.processes =
      launcher + (mpi ? threads_of_mpirun : 0) + placement.world * (keeper + threads + (mpi ? threads_of_mpi : 0));
  return needs;
}

std::vector<Failure> judge_limits(const ProcessLimits& limits, const LimitNeeds& needs) {
  std::vector<Failure> failures;
  const auto judge = [&](const std::optional<std::int64_t>& limit, std::int64_t needed, const char* of, char option,
                         std::int64_t unit, const char* unit_name) {
    if (!limit || *limit >= needed) return;
    // Rounded up, and the limit down: the numbers must not look equal.
    failures.push_back({FaultKind::launch_failed,
                        fmt::format("the limit of {} is {}{}, but about {}{} are needed", of, *limit / unit, unit_name,
                                    (needed + unit - 1) / unit, unit_name),
                        fmt::format("ulimit -{}", option),
                        fmt::format("raise it in the shell that starts ftlaunch: ulimit -{} {}", option,
                                    option == 'n' ? std::to_string(needed) : std::string("unlimited"))});
  };
  judge(limits.processes, limits.running + needs.processes, "processes and threads of the user", 'u', 1, "");
  judge(limits.open_files, needs.open_files, "open files", 'n', 1, "");
  judge(limits.file_bytes, needs.file_bytes, "file size", 'f', 1 << 10, " KiB");
  judge(limits.address_bytes, needs.address_bytes, "address space", 'v', mebibyte, " MiB");
  return failures;
}

}  // namespace ftl
