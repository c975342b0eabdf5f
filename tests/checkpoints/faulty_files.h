// Files that fail on command: the n-th operation that changes the disk finds it full, is torn after some bytes, or is
// the last one before the power goes; then what was not synced is undone.
#pragma once

#include <algorithm>
#include <filesystem>
#include <functional>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "checkpoints/files.h"

namespace ftl {

class FaultyFiles final : public Files {
 public:
  enum class Fault { storage_full, torn_write };

  // Operation numbers start at 0. From the faulty one on, every change fails as after a crash, if `stays_broken`.
  FaultyFiles(int faulty, Fault fault, bool stays_broken)
      : faulty_(faulty), fault_(fault), stays_broken_(stays_broken) {}
  int operations() const { return operations_; }

  // Undoes renames and creations whose directory was not synced, newest first.
  void lose_power() {
    for (auto undo = unsynced_.rbegin(); undo != unsynced_.rend(); ++undo) undo->undo();
    unsynced_.clear();
  }

  Result<Done> write(const std::string& path, std::span<const std::span<const std::byte>> parts) override {
    if (fails()) {
      if (fault_ == Fault::torn_write) tear(path, parts);
      return full(path);
    }
    const bool is_new = !real_.exists(path);
    Result<Done> done = real_.write(path, parts);
    if (done && is_new) unsynced_.push_back({parent(path), [path] { std::filesystem::remove_all(path); }});
    return done;
  }
  Result<std::string> read(const std::string& path, std::size_t limit) override { return real_.read(path, limit); }
  Result<MappedFile> map(const std::string& path) override { return real_.map(path); }
  Result<Done> make_directories(const std::string& path) override {
    if (fails()) return full(path);
    if (real_.exists(path)) return Done{};
    Result<Done> done = real_.make_directories(path);
    if (done) unsynced_.push_back({parent(path), [path] { std::filesystem::remove_all(path); }});
    return done;
  }
  Result<Done> rename(const std::string& from, const std::string& to) override {
    if (fails()) return full(to);
    Result<Done> done = real_.rename(from, to);
    if (done) unsynced_.push_back({parent(to), [from, to] { std::filesystem::rename(to, from); }});
    return done;
  }
  Result<Done> sync_directory(const std::string& path) override {
    if (fails()) return full(path);
    std::erase_if(unsynced_, [&](const Unsynced& change) { return change.directory == path; });
    return real_.sync_directory(path);
  }
  // What is removed may come back too, so it is only put away.
  Result<Done> remove_all(const std::string& path) override {
    if (fails()) return full(path);
    if (!real_.exists(path)) return Done{};
    const std::string away = parent(path) + "/.removed-" + std::to_string(operations_);
    Result<Done> done = real_.rename(path, away);
    if (done) unsynced_.push_back({parent(path), [path, away] { std::filesystem::rename(away, path); }});
    return done;
  }
  Result<std::vector<std::string>> list(const std::string& directory) override { return real_.list(directory); }
  bool exists(const std::string& path) override { return real_.exists(path); }

 private:
  struct Unsynced {
    std::string directory;
    std::function<void()> undo;
  };

  static std::string parent(const std::string& path) { return std::filesystem::path(path).parent_path().string(); }
  static Failure full(const std::string& path) {
    return {FaultKind::storage_full, "cannot write 1 bytes: planted (0 bytes are free)", path, ""};
  }
  bool fails() {
    const int number = operations_++;
    return number == faulty_ || (stays_broken_ && number > faulty_ && faulty_ >= 0);
  }
  void tear(const std::string& path, std::span<const std::span<const std::byte>> parts) {
    std::vector<std::span<const std::byte>> half(parts.begin(), parts.end());
    half.back() = half.back().first(half.back().size() / 2);
    (void)real_.write(path, half);
  }

  PosixFiles real_;
  int faulty_;
  Fault fault_;
  bool stays_broken_;
  int operations_ = 0;
  std::vector<Unsynced> unsynced_;
};

}  // namespace ftl
