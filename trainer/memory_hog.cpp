#include "trainer/memory_hog.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

#include <sys/mman.h>
#include <unistd.h>

namespace ftl {
namespace {

constexpr std::int64_t headroom_bytes = 32 << 20;  // above what the process already uses
constexpr int exit_code_when_impossible = 96;
constexpr std::string_view group_prefix = "ftl-oom-";
constexpr Duration until_seen = std::chrono::milliseconds(300);  // the keeper notes the new cgroup with its next pulses

bool write_text(const std::filesystem::path& path, const std::string& text) {
  std::ofstream file(path);
  file << text;
  file.flush();
  return file.good();
}

// The directory of this process's memory cgroup, and whether it is of version 2. Empty when there is none.
std::filesystem::path own_memory_cgroup(bool& version_2) {
  std::ifstream file("/proc/self/cgroup");
  std::string unified;
  for (std::string line; std::getline(file, line);) {
    const auto first = line.find(':');
    const auto second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const std::string path = line.substr(second + 1);
    if (controllers == "memory") {
      version_2 = false;
      return std::filesystem::path("/sys/fs/cgroup/memory") / path.substr(1);
    }
    if (controllers.empty()) unified = path;
  }
  version_2 = true;
  return unified.empty() ? std::filesystem::path() : std::filesystem::path("/sys/fs/cgroup") / unified.substr(1);
}

std::int64_t resident_bytes() {
  std::ifstream file("/proc/self/statm");
  std::int64_t total = 0, resident = 0;
  file >> total >> resident;
  return resident * ::sysconf(_SC_PAGESIZE);
}

// Cgroups of processes that an earlier planted fault has ended: nobody else can remove them.
void remove_leftovers(const std::filesystem::path& parent) {
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(parent, error)) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with(group_prefix)) continue;
    if (!std::filesystem::exists("/proc/" + name.substr(group_prefix.size()), error)) ::rmdir(entry.path().c_str());
  }
}

bool confine_to_small_cgroup() {
  bool version_2 = false;
  const std::filesystem::path parent = own_memory_cgroup(version_2);
  if (parent.empty()) return false;
  remove_leftovers(parent);
  const std::filesystem::path group = parent / (std::string(group_prefix) + std::to_string(::getpid()));
  std::error_code error;
  std::filesystem::create_directory(group, error);
  if (error) return false;
  // Pages that were charged before the move stay with the old group, so the limit counts new memory only.
  const std::string limit = std::to_string(version_2 ? resident_bytes() + headroom_bytes : headroom_bytes);
  if (!write_text(group / (version_2 ? "memory.max" : "memory.limit_in_bytes"), limit)) return false;
  if (version_2) write_text(group / "memory.swap.max", "0");
  return write_text(group / "cgroup.procs", std::to_string(::getpid()));
}

}  // namespace

void provoke_oom_killer(RankContext& context, std::int64_t computing_step) {
  if (!confine_to_small_cgroup()) {
    std::fprintf(
        stderr,
        "--inject fault=oom at step %lld: no memory cgroup can be made here (root and a writable cgroup are needed)\n",
        static_cast<long long>(computing_step));
    ::_exit(exit_code_when_impossible);
  }
  write_text("/proc/self/oom_score_adj", "1000");
  context.clock.sleep_until(context.clock.now() + until_seen);
  for (;;) {
    constexpr std::size_t chunk = 8 << 20;
    void* memory = ::mmap(nullptr, chunk, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) ::_exit(exit_code_when_impossible);
    std::memset(memory, 1, chunk);
  }
}

}  // namespace ftl
