#include "launcher/run_directory_state.h"

#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "launcher/engines/process_table.h"
#include "launcher/run_directory.h"

namespace ftl {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

constexpr const char* default_bases[] = {"/dev/shm", "/var/tmp"};
constexpr std::time_t hot_state_kept_seconds = 24 * 60 * 60;

std::string home_below(const std::string& base) { return base + "/ftl-" + std::to_string(::getuid()); }

std::int64_t free_bytes(const std::string& path) {
  struct statvfs room {};
  if (::statvfs(path.c_str(), &room) != 0) return -1;
  return static_cast<std::int64_t>(room.f_bavail) * static_cast<std::int64_t>(room.f_frsize);
}

// A directory of ours that nobody else can enter. The place is writable for everybody, so what lies there may be a
// trap.
Result<Done> own_directory(const std::string& path) {
  const auto refused = [&](const std::string& what) {
    return Failure{FaultKind::node_state_too_small, what, path, "set FTL_STATE_DIR"};
  };
  if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) {
    return refused(std::string("node-local state cannot be created: ") + std::strerror(errno));
  }
  struct stat about {};
  if (::lstat(path.c_str(), &about) != 0) return refused(std::strerror(errno));
  if (!S_ISDIR(about.st_mode) || about.st_uid != ::getuid())
    return refused("what lies there is not a directory of this user");
  if (::chmod(path.c_str(), 0700) != 0) return refused(std::strerror(errno));
  return Done{};
}

struct StateOwner {
  std::int32_t pid = 0;
  std::uint64_t start = 0;
  std::string run_directory;
};

StateOwner owner_of(const std::string& state) {
  const json object = json::parse(read_small_file(state + "/owner.json").value_or(""), nullptr, false);
  StateOwner owner;
  if (!object.is_object()) return owner;
  const auto pid = object.find("pid"), start = object.find("start"), directory = object.find("run_directory");
  if (pid != object.end() && pid->is_number_integer()) owner.pid = pid->get<std::int32_t>();
  if (start != object.end() && start->is_number_unsigned()) owner.start = start->get<std::uint64_t>();
  if (directory != object.end() && directory->is_string()) owner.run_directory = directory->get<std::string>();
  return owner;
}

bool resumable(const std::string& state, const StateOwner& owner) {
  const auto status = owner.run_directory.empty() ? std::nullopt : read_status(owner.run_directory);
  if (!status || status->status.state == RunState::finished) return false;
  struct stat about {};
  return ::stat((state + "/owner.json").c_str(), &about) == 0 &&
         std::time(nullptr) - about.st_mtime < hot_state_kept_seconds;
}

void remove(const std::string& path, std::vector<std::string>& removed) {
  std::error_code error;
  if (fs::remove_all(path, error) > 0 && !error) removed.push_back(path);
}

void remove_attempts(const std::string& state, const std::string& except, std::vector<std::string>& removed) {
  std::error_code error;
  std::vector<std::string> found;
  for (fs::directory_iterator entry(state, error), end; !error && entry != end; entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    if (name.starts_with("attempt-") && name != except) found.push_back(entry->path().string());
  }
  for (const std::string& path : found) remove(path, removed);
}

void reclaim_below(const std::string& base, bool all, std::vector<std::string>& removed) {
  const std::string home = home_below(base);
  struct stat about {};
  if (::lstat(home.c_str(), &about) != 0 || !S_ISDIR(about.st_mode) || about.st_uid != ::getuid()) return;
  std::error_code error;
  std::vector<std::string> states;
  for (fs::directory_iterator entry(home, error), end; !error && entry != end; entry.increment(error)) {
    if (entry->is_directory(error) && !entry->is_symlink(error)) states.push_back(entry->path().string());
  }
  for (const std::string& state : states) {
    const StateOwner owner = owner_of(state);
    if (owner.pid > 0 && alive(owner.pid, owner.start)) continue;
    if (!all && resumable(state, owner))
      remove_attempts(state, "", removed);
    else
      remove(state, removed);
  }
}

}  // namespace

Result<std::string> claim_state_directory(const StateDirectoryOptions& options) {
  std::vector<std::string> bases(std::begin(default_bases), std::end(default_bases));
  if (!options.base.empty()) {
    bases = {options.base};
    std::error_code shown_by_the_room;
    fs::create_directories(options.base, shown_by_the_room);
  }
  std::string rooms;
  for (const std::string& base : bases) {
    const std::int64_t room = free_bytes(base);
    if (room < options.bytes_needed || room < 0) {
      rooms += (rooms.empty() ? "" : ", ") + base + " has " + std::to_string(std::max<std::int64_t>(room, 0));
      continue;
    }
    const std::string state = home_below(base) + "/" + options.run_id;
    for (const std::string& directory : {home_below(base), state}) {
      const auto made = own_directory(directory);
      if (!made) return made.error();
    }
    const auto self = process_stat(::getpid());
    const json owner = {
        {"pid", ::getpid()}, {"start", self ? self->start_ticks : 0}, {"run_directory", options.run_directory}};
    std::ofstream file(state + "/owner.json", std::ios::trunc);
    file << owner.dump(-1, ' ', false, json::error_handler_t::replace) << '\n';
    if (file.flush()) return state;
    rooms += (rooms.empty() ? "" : ", ") + base + " cannot be written";
  }
  return Failure{FaultKind::node_state_too_small,
                 "node-local state needs " + std::to_string(options.bytes_needed) + " bytes: " + rooms, bases.front(),
                 ""};
}

Result<Done> prepare_attempt(const std::string& state_directory, Attempt attempt) {
  const std::string name = "attempt-" + std::to_string(attempt.value);
  std::vector<std::string> removed;
  remove_attempts(state_directory, name, removed);
  for (const std::string& directory : {state_directory + "/" + name, state_directory + "/hot"}) {
    const auto made = own_directory(directory);
    if (!made) return made;
  }
  return Done{};
}

std::vector<std::string> reclaim_state(const std::string& base, bool all) {
  std::vector<std::string> removed;
  if (!base.empty()) {
    reclaim_below(base, all, removed);
  } else {
    for (const char* place : default_bases) reclaim_below(place, all, removed);
  }
  return removed;
}

}  // namespace ftl
