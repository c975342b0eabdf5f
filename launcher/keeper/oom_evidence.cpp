#include "launcher/keeper/oom_evidence.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <vector>

#include "launcher/engines/process_table.h"

namespace ftl {
namespace {

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  for (;;) {
    const std::size_t end = text.find(separator);
    parts.push_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

bool has_part(std::string_view list, std::string_view part) {
  for (const std::string_view each : split(list, ',')) {
    if (each == part) return true;
  }
  return false;
}

// The directory of a cgroup whose path is as seen from the hierarchy's root, when `root` of the hierarchy is mounted at
// `mount`.
std::string directory_of(std::string_view path, std::string_view root, std::string_view mount) {
  if (root != "/" && path.substr(0, root.size()) == root) path.remove_prefix(root.size());
  std::string directory(mount);
  if (path.empty() || path == "/" || path.substr(0, 4) == "/../") return directory;  // outside of what is mounted here
  return directory.append(path);
}

std::optional<std::int64_t> number_at(std::string_view text) {
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end == text.data()) return std::nullopt;
  return number;
}

std::int64_t kills_in(const MemoryCgroup& cgroup) {
  const auto text =
      read_small_file(cgroup.directory + (cgroup.version == 1 ? "/memory.oom_control" : "/memory.events"));
  return text ? oom_kills_in(*text).value_or(0) : 0;
}

constexpr std::uint64_t first_pid_namespace = 0xEFFFFFFC;  // PROC_PID_INIT_INO

}  // namespace

std::optional<MemoryCgroup> memory_cgroup_of(std::string_view cgroup, std::string_view mountinfo) {
  std::optional<std::string_view> path_v1, path_v2;
  for (const std::string_view line : split(cgroup, '\n')) {
    const std::size_t first = line.find(':');
    const std::size_t second = first == std::string_view::npos ? first : line.find(':', first + 1);
    if (second == std::string_view::npos) continue;
    const std::string_view controllers = line.substr(first + 1, second - first - 1);
    if (has_part(controllers, "memory")) path_v1 = line.substr(second + 1);
    if (controllers.empty() && line.substr(0, first) == "0") path_v2 = line.substr(second + 1);
  }
  std::optional<MemoryCgroup> second_choice;
  for (const std::string_view line : split(mountinfo, '\n')) {
    // id parent major:minor root mount options [tags...] - type source super-options
    const std::size_t dash = line.find(" - ");
    if (dash == std::string_view::npos) continue;
    const auto before = split(line.substr(0, dash), ' ');
    const auto after = split(line.substr(dash + 3), ' ');
    if (before.size() < 5 || after.size() < 3) continue;
    if (path_v1 && after[0] == "cgroup" && has_part(after[2], "memory")) {
      return MemoryCgroup{1, directory_of(*path_v1, before[3], before[4])};  // where both are, version 1 has the memory
    }
    if (path_v2 && after[0] == "cgroup2" && !second_choice) {
      second_choice = MemoryCgroup{2, directory_of(*path_v2, before[3], before[4])};
    }
  }
  return second_choice;
}

std::optional<std::int64_t> oom_kills_in(std::string_view text) {
  for (const std::string_view line : split(text, '\n')) {
    constexpr std::string_view name = "oom_kill ";
    if (line.substr(0, name.size()) == name) return number_at(line.substr(name.size()));
  }
  return std::nullopt;
}

std::int64_t memory_limit_in(std::string_view text) {
  constexpr std::int64_t unlimited_v1 = std::int64_t{1}
                                        << 62;  // the maximum of the page counter lies above, whatever the page size
  const std::int64_t limit = number_at(text).value_or(0);
  return limit >= unlimited_v1 || limit < 0 ? 0 : limit;
}

std::optional<std::string> oom_message(std::string_view record, pid_t pid) {
  const std::size_t semicolon = record.find(';');  // "priority,sequence,time,flags;message\n continuation"
  if (semicolon == std::string_view::npos) return std::nullopt;
  const std::string_view message = split(record.substr(semicolon + 1), '\n')[0];
  const std::string number = std::to_string(pid);
  const bool killed = message.find("Killed process " + number + " ") != std::string_view::npos ||
                      message.find("Killed process " + number + ",") != std::string_view::npos;
  const bool chosen =
      message.substr(0, 9) == "oom-kill:" && message.find(",pid=" + number + ",") != std::string_view::npos;
  if (!killed && !chosen) return std::nullopt;
  return std::string(message);
}

OomWatch::OomWatch(pid_t pid) : pid_(pid) {
  struct stat space {};
  if (::stat("/proc/self/ns/pid", &space) == 0 && space.st_ino == first_pid_namespace) {
    kernel_log_ = Descriptor(::open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC));
    if (kernel_log_) ::lseek(kernel_log_.get(), 0, SEEK_END);
  }
  refresh();
}

void OomWatch::refresh() {
  const std::string process = "/proc/" + std::to_string(pid_);
  const auto membership = read_small_file(process + "/cgroup");
  const auto mounts = read_small_file("/proc/self/mountinfo");
  if (!membership || !mounts) return;
  const auto cgroup = memory_cgroup_of(*membership, *mounts);
  // Looked at after the cgroup was read: when it still lives now, what was read is no ghost's.
  const auto stat = process_stat(pid_);
  if (!cgroup || !stat || stat->state == ProcessState::zombie || stat->state == ProcessState::gone) return;
  for (const Seen& seen : seen_) {
    if (seen.cgroup == *cgroup) return;
  }
  seen_.push_back({*cgroup, kills_in(*cgroup)});
}

OomEvidence OomWatch::collect() {
  OomEvidence evidence;
  for (const Seen& seen : seen_) {
    evidence.cgroup_kills += std::max<std::int64_t>(0, kills_in(seen.cgroup) - seen.kills_before);
  }
  if (!seen_.empty()) {
    const MemoryCgroup& newest = seen_.back().cgroup;
    const auto limit =
        read_small_file(newest.directory + (newest.version == 1 ? "/memory.limit_in_bytes" : "/memory.max"));
    if (limit) evidence.limit_bytes = memory_limit_in(*limit);
  }
  char record[8192];  // one read is one record; the kernel's are at most this long
  for (int records = 0; kernel_log_ && records < 100'000; ++records) {
    const ssize_t got = ::read(kernel_log_.get(), record, sizeof record);
    if (got < 0 && errno == EPIPE) continue;  // records were overwritten before they were read: go on with the oldest
    if (got <= 0) break;
    if (const auto message = oom_message(std::string_view(record, static_cast<std::size_t>(got)), pid_)) {
      evidence.kernel_line = *message;  // the last one is the most telling: "Killed process ..."
    }
  }
  return evidence;
}

}  // namespace ftl
