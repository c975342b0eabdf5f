#include "tests/multiprocess/marked_processes.h"

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <sstream>
#include <thread>

namespace ftl {
namespace {

namespace fs = std::filesystem;

std::string text_of(const fs::path& path) {
  // A process may end while its files are read: the stream notes that, an iterator over its buffer would throw.
  std::ostringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}

// Entries of /proc/<pid>/environ and /proc/<pid>/cmdline end with a zero byte.
std::vector<std::string> entries_of(const fs::path& path) {
  std::vector<std::string> entries;
  const std::string text = text_of(path);
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\0', begin), text.size());
    entries.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return entries;
}

int number_after(const std::vector<std::string>& entries, const std::string& name) {
  for (std::size_t i = 0; i + 1 < entries.size(); ++i) {
    if (entries[i] == name) return std::atoi(entries[i + 1].c_str());
  }
  return -1;
}

int variable(const std::vector<std::string>& environment, const std::string& name, int absent) {
  for (const std::string& entry : environment) {
    if (entry.starts_with(name + "=")) return std::atoi(entry.c_str() + name.size() + 1);
  }
  return absent;
}

char state_of(const fs::path& process) {
  const std::string stat = text_of(process / "stat");
  const std::size_t name_end = stat.rfind(')');  // the name before it may hold anything
  return name_end == std::string::npos || name_end + 2 >= stat.size() ? 'Z' : stat[name_end + 2];
}

std::optional<MarkedProcess> look_at(const fs::path& process, const std::string& wanted) {
  const std::vector<std::string> environment = entries_of(process / "environ");
  if (std::find(environment.begin(), environment.end(), wanted) == environment.end()) return std::nullopt;
  MarkedProcess found;
  found.pid = std::atoi(process.filename().c_str());
  found.program = text_of(process / "comm");
  if (found.program.ends_with('\n')) found.program.pop_back();
  found.state = state_of(process);
  if (found.state == 'Z' || found.state == 'X') return std::nullopt;
  // The keeper of the local engine is told its rank; Open MPI puts it into the environment.
  if (found.program == "ftkeeper") found.rank = variable(environment, "OMPI_COMM_WORLD_RANK", 0);
  if (found.program == "fttrain") found.rank = number_after(entries_of(process / "cmdline"), "--rank");
  return found;
}

}  // namespace

std::vector<MarkedProcess> marked_processes(const std::string& marker) {
  const std::string wanted = std::string(test_marker_variable) + "=" + marker;
  std::vector<MarkedProcess> found;
  std::error_code error;
  for (fs::directory_iterator entry("/proc", error), end; entry != end; entry.increment(error)) {
    const std::string name = entry->path().filename();
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    if (auto process = look_at(entry->path(), wanted)) found.push_back(*process);
  }
  return found;
}

std::vector<MarkedProcess> of_program(const std::vector<MarkedProcess>& all, const std::string& program) {
  std::vector<MarkedProcess> some;
  std::copy_if(all.begin(), all.end(), std::back_inserter(some),
               [&](const MarkedProcess& one) { return one.program == program; });
  return some;
}

std::string describe(const std::vector<MarkedProcess>& processes) {
  std::string text;
  for (const MarkedProcess& one : processes) {
    text += (text.empty() ? "" : ", ") + one.program + " " + std::to_string(one.pid) + " (" + one.state + ")";
  }
  return text;
}

std::vector<MarkedProcess> left_after(const std::string& marker, std::chrono::milliseconds limit) {
  constexpr std::chrono::milliseconds pause(50);
  std::vector<MarkedProcess> left = marked_processes(marker);
  for (std::chrono::milliseconds waited(0); !left.empty() && waited < limit; waited += pause) {
    std::this_thread::sleep_for(pause);
    left = marked_processes(marker);
  }
  return left;
}

void kill_all_marked(const std::string& marker) {
  constexpr int rounds = 20;  // a process may start another one between two looks
  for (int round = 0; round < rounds; ++round) {
    const std::vector<MarkedProcess> left = marked_processes(marker);
    if (left.empty()) return;
    for (const MarkedProcess& one : left) ::kill(one.pid, SIGKILL);
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
}

}  // namespace ftl
