#include "launcher/engines/process_table.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <charconv>
#include <csignal>

#include "launcher/engines/child_process.h"

namespace ftl {
namespace {

template <class Number>
std::optional<Number> parsed(std::string_view word) {
  Number number{};
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), number);
  if (error != std::errc{} || end != word.data() + word.size()) return std::nullopt;
  return number;
}

ProcessState state_of(char letter) {
  switch (letter) {
    case 'R': return ProcessState::running;
    case 'S':
    case 'I': return ProcessState::sleeping;
    case 'D': return ProcessState::uninterruptible;
    case 'T': return ProcessState::stopped;
    case 't': return ProcessState::traced;
    case 'Z': return ProcessState::zombie;
    default: return ProcessState::gone;  // X, x: dead
  }
}

bool holds_entry(std::string_view environment, std::string_view marker) {
  while (!environment.empty()) {
    const std::size_t end = environment.find('\0');
    if (environment.substr(0, end) == marker) return true;
    if (end == std::string_view::npos) break;
    environment.remove_prefix(end + 1);
  }
  return false;
}

bool is_marked(pid_t pid, const std::string& marker) {
  const auto environment = read_small_file("/proc/" + std::to_string(pid) + "/environ");
  return environment && holds_entry(*environment, marker);
}

}  // namespace

std::optional<std::string> read_small_file(const std::string& path, std::size_t limit) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!file) return std::nullopt;
  std::string text;
  char block[4096];
  while (text.size() < limit) {
    const ssize_t got = ::read(file.get(), block, std::min(sizeof block, limit - text.size()));
    if (got < 0) return std::nullopt;
    if (got == 0) break;
    text.append(block, static_cast<std::size_t>(got));
  }
  return text;
}

std::optional<ProcessStat> parse_process_stat(std::string_view text) {
  const std::size_t name_begin = text.find(" (");
  const std::size_t name_end = text.rfind(')');  // the last one: the name itself may hold some
  if (name_begin == std::string_view::npos || name_end == std::string_view::npos || name_end < name_begin)
    return std::nullopt;
  std::vector<std::string_view> words;  // words[0] is field 3 of proc(5)
  std::string_view rest = text.substr(name_end + 1);
  while (words.size() < 20) {
    const std::size_t begin = rest.find_first_not_of(" \n");
    if (begin == std::string_view::npos) break;
    const std::size_t end = std::min(rest.find_first_of(" \n", begin), rest.size());
    words.push_back(rest.substr(begin, end - begin));
    rest.remove_prefix(end);
  }
  if (words.size() < 20 || words[0].size() != 1) return std::nullopt;
  const auto pid = parsed<pid_t>(text.substr(0, name_begin));
  const auto parent = parsed<pid_t>(words[1]);
  const auto group = parsed<pid_t>(words[2]);
  const auto user = parsed<std::uint64_t>(words[11]);
  const auto system = parsed<std::uint64_t>(words[12]);
  const auto start = parsed<std::uint64_t>(words[19]);
  if (!pid || !parent || !group || !user || !system || !start) return std::nullopt;
  return ProcessStat{*pid, *parent, *group, state_of(words[0][0]), *user + *system, *start};
}

std::optional<ProcessStat> process_stat(pid_t pid) {
  const auto text = read_small_file("/proc/" + std::to_string(pid) + "/stat");
  return text ? parse_process_stat(*text) : std::nullopt;
}

bool alive(pid_t pid, std::uint64_t start_ticks) {
  const auto stat = process_stat(pid);
  return stat && stat->start_ticks == start_ticks && stat->state != ProcessState::zombie &&
         stat->state != ProcessState::gone;
}

std::string attempt_marker(const std::string& run_id, Attempt attempt) {
  return std::string(attempt_variable) + "=" + run_id + "/" + std::to_string(attempt.value);
}

std::vector<pid_t> processes_marked(const std::string& marker) {
  std::vector<pid_t> found;
  DIR* directory = ::opendir("/proc");
  if (directory == nullptr) return found;
  while (const dirent* entry = ::readdir(directory)) {
    const auto pid = parsed<pid_t>(entry->d_name);
    if (pid && *pid != ::getpid() && is_marked(*pid, marker)) found.push_back(*pid);
  }
  ::closedir(directory);
  return found;
}

int kill_marked(const std::string& marker, int rounds) {
  int killed = 0;
  for (int round = 0; round < rounds; ++round) {
    const auto found = processes_marked(marker);
    if (found.empty()) break;
    for (const pid_t pid : found) {
      // The handle is taken first and the marker read again after it: what is killed is what was looked at.
      const Descriptor handle(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0u)));
      if (!handle || !is_marked(pid, marker)) continue;
      if (::syscall(SYS_pidfd_send_signal, handle.get(), SIGKILL, nullptr, 0u) == 0) ++killed;
    }
  }
  return killed;
}

}  // namespace ftl
