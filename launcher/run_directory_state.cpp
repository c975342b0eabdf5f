#include "launcher/run_directory_state.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "launcher/engines/child_process.h"
#include "launcher/engines/process_table.h"
#include "launcher/process_owner.h"
#include "launcher/run_directory.h"
#include "launcher/run_files.h"

namespace ftl {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

constexpr const char* default_bases[] = {"/dev/shm", "/var/tmp"};
constexpr std::time_t hot_state_kept_seconds = 24 * 60 * 60;

std::string home_below(const std::string& base) { return base + "/ftl-" + std::to_string(::getuid()); }

// Free bytes where `path` is or will be made; -1 when this user cannot write there.
std::int64_t free_bytes(const std::string& path) {
  std::error_code error;
  fs::path there = fs::absolute(path, error);
  while (!fs::exists(there, error) && there.has_relative_path()) there = there.parent_path();
  struct statvfs room {};
  if (::access(there.c_str(), W_OK | X_OK) != 0 || ::statvfs(there.c_str(), &room) != 0) return -1;
  return static_cast<std::int64_t>(room.f_bavail) * static_cast<std::int64_t>(room.f_frsize);
}

std::int64_t occupied_bytes(const fs::path& file) {
  struct stat about {};
  if (::lstat(file.c_str(), &about) != 0 || !S_ISREG(about.st_mode)) return 0;
  return static_cast<std::int64_t>(about.st_blocks) * 512;
}

// Hot state that ranks of this world write into again, and attempts that are taken away before the next one starts.
std::int64_t held_bytes(const std::string& state, int world) {
  std::int64_t bytes = 0;
  for (int rank = 0; rank < world; ++rank)
    bytes += occupied_bytes(state + "/hot/rank-" + std::to_string(rank) + ".state");
  std::error_code error;
  for (fs::directory_iterator entry(state, error), end; !error && entry != end; entry.increment(error)) {
    if (!entry->path().filename().string().starts_with("attempt-")) continue;
    std::error_code inside;
    for (fs::directory_iterator file(entry->path(), inside), last; !inside && file != last; file.increment(inside))
      bytes += occupied_bytes(file->path());
  }
  return bytes;
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

// Whoever claims or reclaims below a user's directory holds this: a state that was nobody's when it was looked at is
// still nobody's when it is removed.
Descriptor locked(const std::string& home) {
  Descriptor directory(::open(home.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW));
  while (directory && ::flock(directory.get(), LOCK_EX) != 0 && errno == EINTR) {
  }
  return directory;
}

struct StateOwner {
  ProcessOwner process;
  std::string run_directory;
};

StateOwner owner_of(const std::string& state) {
  const std::string text = read_small_file(state + "/owner.json").value_or("");
  StateOwner owner;
  if (const auto process = owner_in(text)) owner.process = *process;
  const json object = json::parse(text, nullptr, false);
  if (!object.is_object()) return owner;
  const auto directory = object.find("run_directory");
  if (directory != object.end() && directory->is_string()) owner.run_directory = directory->get<std::string>();
  return owner;
}

bool resumable(const std::string& state, const StateOwner& owner) {
  // A run directory that was emptied since, or holds another run now, has no use for it.
  if (owner.run_directory.empty() || run_id_in(owner.run_directory) != fs::path(state).filename()) return false;
  if (const auto status = read_status(owner.run_directory); status && status->status.state == RunState::finished)
    return false;
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

void reclaim_below(const std::string& base, bool all, const std::string& keep, std::vector<std::string>& removed) {
  const std::string home = home_below(base);
  struct stat about {};
  if (::lstat(home.c_str(), &about) != 0 || !S_ISDIR(about.st_mode) || about.st_uid != ::getuid()) return;
  const Descriptor lock = locked(home);
  std::error_code error;
  std::vector<std::string> states;
  for (fs::directory_iterator entry(home, error), end; !error && entry != end; entry.increment(error)) {
    if (entry->is_directory(error) && !entry->is_symlink(error)) states.push_back(entry->path().string());
  }
  for (const std::string& state : states) {
    const StateOwner owner = owner_of(state);
    const Liveness liveness = liveness_of(owner.process);
    if (liveness == Liveness::alive || (liveness == Liveness::out_of_sight && !all)) continue;
    const bool kept = fs::path(state).filename() == keep;
    if (kept || (!all && resumable(state, owner)))
      remove_attempts(state, "", removed);
    else
      remove(state, removed);
  }
}

}  // namespace

std::vector<StatePlace> look_at_state_places(const std::string& base, const std::string& run_id, int world) {
  std::vector<std::string> bases(std::begin(default_bases), std::end(default_bases));
  if (!base.empty()) bases = {base};
  std::vector<StatePlace> places;
  for (const std::string& one : bases) {
    const std::int64_t held = run_id.empty() ? 0 : held_bytes(home_below(one) + "/" + run_id, world);
    places.push_back({one, free_bytes(one), held});
  }
  std::stable_partition(places.begin(), places.end(), [](const StatePlace& place) { return place.held > 0; });
  return places;
}

Result<std::string> choose_state_place(const std::vector<StatePlace>& places, std::int64_t bytes_needed) {
  std::string rooms;
  for (const StatePlace& place : places) {
    if (place.free >= 0 && place.free + place.held >= bytes_needed) return place.base;
    rooms += (rooms.empty() ? "" : ", ") + place.base +
             (place.free < 0 ? " cannot be written" : " has " + std::to_string(place.free) + " free");
    if (place.held > 0) rooms += " and " + std::to_string(place.held) + " of this run";
  }
  return Failure{FaultKind::node_state_too_small,
                 "node-local state (rings, hot state) needs " + std::to_string(bytes_needed) + " bytes: " + rooms,
                 places.empty() ? "" : places.front().base, ""};
}

Result<std::string> claim_state_directory(const StateDirectoryOptions& options) {
  std::error_code shown_by_the_next;
  fs::create_directories(options.base, shown_by_the_next);
  const std::string home = home_below(options.base);
  if (const auto made = own_directory(home); !made) return made.error();
  const Descriptor lock = locked(home);
  const std::string state = home + "/" + options.run_id;
  if (const auto made = own_directory(state); !made) return made.error();
  json owner = to_json(this_process());
  owner["run_directory"] = options.run_directory;
  const std::string text = owner.dump(-1, ' ', false, json::error_handler_t::replace) + "\n";
  if (const auto written = replace_file(state + "/owner.json", text, false); !written) {
    return Failure{FaultKind::node_state_too_small,
                   "node-local state cannot be marked as ours: " + written.error().what, state, ""};
  }
  return state;
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

std::vector<std::string> reclaim_state(const std::string& base, bool all, const std::string& keep) {
  std::vector<std::string> removed;
  if (!base.empty()) {
    reclaim_below(base, all, keep, removed);
  } else {
    for (const char* place : default_bases) reclaim_below(place, all, keep, removed);
  }
  return removed;
}

}  // namespace ftl
