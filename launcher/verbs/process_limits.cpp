#include "launcher/verbs/process_limits.h"

#include <algorithm>

#include <fmt/format.h>
#include <sys/resource.h>

namespace ftl {
namespace {

constexpr std::int64_t mebibyte = 1 << 20;
constexpr std::int64_t files_of_launcher = 32;      // and of mpirun: pipes, sockets, logs
constexpr std::int64_t files_of_rank = 8;           // its keeper's connection, mpirun's pipes to it, its log
constexpr std::int64_t least_file = 16 * mebibyte;  // logs, flight recorder, the communication library's segments
// Libraries and what Open MPI maps; of each thread its stack and the arena that the allocator reserves.
constexpr std::int64_t address_of_libraries = 512 * mebibyte;
constexpr std::int64_t address_of_thread = 72 * mebibyte;

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

std::string in_words(const std::optional<std::int64_t>& limit) { return limit ? std::to_string(*limit) : "unlimited"; }

}  // namespace

ProcessLimits process_limits(std::int64_t wanted_files) {
  raise_open_files(wanted_files);
  return {limit_of(RLIMIT_NOFILE), limit_of(RLIMIT_FSIZE), limit_of(RLIMIT_AS), limit_of(RLIMIT_NPROC)};
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
  needs.address_bytes = address_of_libraries + address_of_thread * placement.threads_per_rank + memory;
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
  judge(limits.open_files, needs.open_files, "open files", 'n', 1, "");
  judge(limits.file_bytes, needs.file_bytes, "file size", 'f', 1 << 10, " KiB");
  judge(limits.address_bytes, needs.address_bytes, "address space", 'v', mebibyte, " MiB");
  return failures;
}

}  // namespace ftl
