#include "checkpoints/files.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>
#include <system_error>
#include <utility>

#include <fmt/format.h>

#include "checkpoints/descriptor.h"
#include "failures/file_errors.h"

namespace ftl {
namespace {

namespace fs = std::filesystem;

int open_again(const std::string& path, int flags, mode_t mode = 0) {
  int number = -1;
  do number = ::open(path.c_str(), flags | O_CLOEXEC, mode);
  while (number < 0 && errno == EINTR);
  return number;
}

std::string parent_of(const std::string& path) {
  const fs::path parent = fs::path(path).parent_path();
  return parent.empty() ? "." : parent.string();
}

// Of a call that only reads: the path may be one that the user named.
Failure not_read(const std::string& path, const char* action, int error) {
  return {kind_of_failed_read(error), fmt::format("cannot {}: {}", action, std::generic_category().message(error)),
          path, ""};
}

// Of a call that changes the disk: what a run makes.
Failure not_written(const std::string& path, const char* action, int error, std::size_t wanted = 0) {
  const FaultKind kind = kind_of_failed_write(error);
  const std::string reason = std::generic_category().message(error);
  if (kind == FaultKind::storage_full) {
    return {kind,
            fmt::format("cannot {} {} bytes: {} ({} bytes are free)", action, wanted, reason, free_bytes_at(path)),
            path, ""};
  }
  return {kind, fmt::format("cannot {}: {}", action, reason), path, ""};
}

int sync(int descriptor, int (*call)(int) = ::fsync) {
  int result = 0;
  do result = call(descriptor);
  while (result != 0 && errno == EINTR);
  return result == 0 ? 0 : errno;
}

// Every piece reaches the storage before the next is written: one sync of a large file at its end could take minutes,
// without a sign of life in them.
class PiecewiseWriter {
 public:
  PiecewiseWriter(int descriptor, Files& files) : descriptor_(descriptor), files_(files) {}

  int write(std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
      const ssize_t written = ::write(descriptor_, bytes.data(), std::min(bytes.size(), piece_bytes - in_piece_));
      if (written < 0) {
        if (errno == EINTR) continue;
        return errno;
      }
      bytes = bytes.subspan(static_cast<std::size_t>(written));
      in_piece_ += static_cast<std::size_t>(written);
      if (in_piece_ < piece_bytes) continue;
      in_piece_ = 0;
      if (const int error = sync(descriptor_, ::fdatasync); error != 0) return error;
      files_.sign_of_life();
    }
    return 0;
  }

 private:
  int descriptor_;
  Files& files_;
  std::size_t in_piece_ = 0;
};

// Opens a regular file for reading and tells its size: a directory, pipe or device is refused before anything is read.
Result<std::size_t> size_of_regular(const Descriptor& file, const std::string& path) {
  if (file.get() < 0) return not_read(path, "read", errno);
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) return not_read(path, "read", errno);
  if (!S_ISREG(status.st_mode))
    return Failure{FaultKind::file_not_found, "cannot read: it is not a regular file", path, ""};
  return static_cast<std::size_t>(status.st_size);
}

}  // namespace

Result<Done> PosixFiles::write(const std::string& path, std::span<const std::span<const std::byte>> parts) {
  std::size_t wanted = 0;
  for (std::span<const std::byte> part : parts) wanted += part.size();
  Descriptor file(open_again(path, O_WRONLY | O_CREAT | O_TRUNC, 0644));
  if (file.get() < 0) return not_written(path, "write", errno, wanted);
  int error = 0;
  PiecewiseWriter writer(file.get(), *this);
  for (std::size_t i = 0; i < parts.size() && error == 0; ++i) error = writer.write(parts[i]);
  if (error == 0) error = sync(file.get());
  sign_of_life();
  if (error == 0 && file.close_now() != 0 && errno != EINTR) error = errno;
  if (error == 0) return Done{};
  Failure failure = not_written(path, "write", error, wanted);
  ::unlink(path.c_str());  // half a file helps nobody and holds space that is wanted elsewhere
  return failure;
}

Result<std::string> PosixFiles::read(const std::string& path, std::size_t limit) {
  // O_NONBLOCK: a pipe without a writer would block open() for ever.
  const Descriptor file(open_again(path, O_RDONLY | O_NONBLOCK));
  Result<std::size_t> size = size_of_regular(file, path);
  if (!size) return size.error();
  std::string text;
  std::array<char, 65536> block;
  for (;;) {
    if (*size > limit || text.size() > limit) {
      return Failure{FaultKind::file_not_found,
                     fmt::format("cannot read: the file has {} bytes, at most {} are accepted",
                                 std::max(*size, text.size()), limit),
                     path, "check that the path names the file that is meant"};
    }
    const ssize_t got = ::read(file.get(), block.data(), block.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return not_read(path, "read", errno);
    if (got == 0) return text;
    text.append(block.data(), static_cast<std::size_t>(got));
  }
}

Result<MappedFile> PosixFiles::map(const std::string& path) {
  const Descriptor file(open_again(path, O_RDONLY | O_NONBLOCK));
  const Result<std::size_t> size = size_of_regular(file, path);
  if (!size) return size.error();
  if (*size == 0) return MappedFile{};
  void* const start = ::mmap(nullptr, *size, PROT_READ, MAP_PRIVATE, file.get(), 0);
  if (start == MAP_FAILED) return not_read(path, "map", errno);
  const std::size_t length = *size;
  std::shared_ptr<const void> owner(start, [length](const void* p) { ::munmap(const_cast<void*>(p), length); });
  return MappedFile{std::move(owner), {static_cast<const std::byte*>(start), length}};
}

Result<Done> PosixFiles::make_directories(const std::string& path) {
  std::error_code error;
  fs::create_directories(path, error);
  if (error) return not_written(path, "create the directory", error.value());
  return Done{};
}

Result<Done> PosixFiles::rename(const std::string& from, const std::string& to) {
  if (::rename(from.c_str(), to.c_str()) != 0) return not_written(from, fmt::format("rename to {}", to).c_str(), errno);
  return Done{};
}

Result<Done> PosixFiles::sync_directory(const std::string& path) {
  const Descriptor directory(open_again(path, O_RDONLY | O_DIRECTORY));
  if (directory.get() < 0) return not_written(path, "open the directory", errno);
  const int error = sync(directory.get());
  // Some file systems have nothing to sync in a directory and say so with EINVAL.
  if (error != 0 && error != EINVAL) return not_written(path, "sync the directory", error);
  return Done{};
}

Result<Done> PosixFiles::remove_all(const std::string& path) {
  std::error_code error;
  fs::remove_all(path, error);
  if (error) return not_written(path, "remove", error.value());
  return Done{};
}

Result<std::vector<std::string>> PosixFiles::list(const std::string& directory) {
  std::error_code error;
  std::vector<std::string> names;
  fs::directory_iterator entry(directory, error);
  for (; !error && entry != fs::directory_iterator(); entry.increment(error))
    names.push_back(entry->path().filename().string());
  if (error) return not_read(directory, "list the directory", error.value());
  std::sort(names.begin(), names.end());
  return names;
}

bool PosixFiles::exists(const std::string& path) {
  std::error_code error;
  return fs::exists(path, error);
}

Result<Done> write_atomically(Files& files, const std::string& path, std::string_view text) {
  const std::string temporary = fmt::format("{}.tmp-{}", path, ::getpid());
  const std::array<std::span<const std::byte>, 1> parts = {std::as_bytes(std::span(text))};
  Result<Done> done = files.write(temporary, parts);
  if (done) done = files.rename(temporary, path);
  if (!done) {
    (void)files.remove_all(temporary);
    return done;
  }
  return files.sync_directory(parent_of(path));
}

}  // namespace ftl
