// The file system as checkpoints use it. Seam: POSIX here; in tests a wrapper that fills up, tears writes, flips bits
// or forgets what was not synced.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "failures/result.h"

namespace ftl {

// Told after every piece of work that may take long, so that whoever watches sees it go on. May be empty.
using SignOfLife = std::function<void()>;
inline constexpr std::size_t piece_bytes = std::size_t{32} << 20;

// Read-only bytes of a whole file: a private mapping that is unmapped with the last copy. Empty files give an empty
// span.
struct MappedFile {
  std::shared_ptr<const void> owner;
  std::span<const std::byte> bytes;
};

class Files {
 public:
  virtual ~Files() = default;
  // Kinds: of what changes the disk storage_full (ENOSPC, EDQUOT) and storage_failed; of what reads file_not_found when
  // the path is wrong or closed to us, storage_failed when the storage gave way.
  //
  // Creates or replaces `path`, writes the parts one after another, syncs; piece by piece, with a sign of life after
  // each. Not atomic by itself.
  virtual Result<Done> write(const std::string& path, std::span<const std::span<const std::byte>> parts) = 0;
  // Whole file, at most `limit` bytes (a larger file is a failure, not a truncation).
  virtual Result<std::string> read(const std::string& path, std::size_t limit) = 0;
  virtual Result<MappedFile> map(const std::string& path) = 0;
  virtual Result<Done> make_directories(const std::string& path) = 0;
  virtual Result<Done> rename(const std::string& from, const std::string& to) = 0;
  virtual Result<Done> sync_directory(const std::string& path) = 0;
  virtual Result<Done> remove_all(const std::string& path) = 0;
  virtual Result<std::vector<std::string>> list(const std::string& directory) = 0;  // names, sorted
  virtual bool exists(const std::string& path) = 0;
  // For whoever works through the bytes of a file: a piece of them is done.
  virtual void sign_of_life() {}
};

class PosixFiles final : public Files {
 public:
  explicit PosixFiles(SignOfLife sign_of_life = {}) : sign_of_life_(std::move(sign_of_life)) {}
  Result<Done> write(const std::string& path, std::span<const std::span<const std::byte>> parts) override;
  Result<std::string> read(const std::string& path, std::size_t limit) override;
  Result<MappedFile> map(const std::string& path) override;
  Result<Done> make_directories(const std::string& path) override;
  Result<Done> rename(const std::string& from, const std::string& to) override;
  Result<Done> sync_directory(const std::string& path) override;
  Result<Done> remove_all(const std::string& path) override;
  Result<std::vector<std::string>> list(const std::string& directory) override;
  bool exists(const std::string& path) override;
  void sign_of_life() override {
    if (sign_of_life_) sign_of_life_();
  }

 private:
  SignOfLife sign_of_life_;
};

// Writes `<path>.tmp-<pid>`, syncs, renames over `path`, syncs the directory: readers see the old bytes or the new,
// never a mixture.
Result<Done> write_atomically(Files& files, const std::string& path, std::string_view text);

}  // namespace ftl
