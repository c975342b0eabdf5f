#include "launcher/run_files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <vector>

#include "launcher/engines/child_process.h"

namespace ftl {
namespace {

constexpr std::size_t block_bytes = std::size_t{1} << 16;
constexpr std::size_t longest_line = std::size_t{1} << 20;

ssize_t read_again(int file, char* into, std::size_t count) {
  ssize_t got = -1;
  do got = ::read(file, into, count);
  while (got < 0 && errno == EINTR);
  return got;
}

bool is_regular(const Descriptor& file) {
  struct stat about {};
  return ::fstat(file.get(), &about) == 0 && S_ISREG(about.st_mode);
}

// The name is in the directory: without this a machine that stops may have the bytes, and no name for them.
Result<Done> sync_directory_of(const std::string& path) {
  const std::string parent = std::filesystem::path(path).parent_path().string();
  const Descriptor directory(::open(parent.empty() ? "." : parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  // Some file systems cannot sync a directory, and say so with EINVAL: they have nothing to sync.
  if (!directory || (::fsync(directory.get()) != 0 && errno != EINVAL)) return storage_failure(parent, errno);
  return Done{};
}

}  // namespace

Failure storage_failure(const std::string& path, int error) {
  const std::string reason = std::strerror(error);
  if (error == ENOSPC || error == EDQUOT)
    return {FaultKind::storage_full, "the run directory cannot be written: " + reason, path, ""};
  if (error == EACCES || error == EPERM || error == EROFS) {
    return {FaultKind::usage_error,
            "the run directory cannot be written by user " + std::to_string(::geteuid()) + ": " + reason, path,
            "give this user write permission there, or choose another directory with --output-dir"};
  }
  return {FaultKind::usage_error, "the run directory cannot be written: " + reason, path,
          "see what lies there and whether its storage works, or choose another directory with --output-dir"};
}

Result<Done> write_all(int file, std::string_view text, const std::string& path) {
  while (!text.empty()) {
    const ssize_t wrote = ::write(file, text.data(), text.size());
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0) return storage_failure(path, errno);
    text.remove_prefix(static_cast<std::size_t>(wrote));
  }
  return Done{};
}

Result<Done> replace_file(const std::string& path, std::string_view text, bool sync) {
  const std::string temporary = path + ".tmp-" + std::to_string(::getpid());
  {
    const Descriptor file(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
    if (!file) return storage_failure(temporary, errno);
    auto written = write_all(file.get(), text, temporary);
    if (written && sync && ::fsync(file.get()) != 0) written = storage_failure(temporary, errno);
    if (!written) {
      ::unlink(temporary.c_str());
      return written;
    }
  }
  if (::rename(temporary.c_str(), path.c_str()) != 0) {
    const int error = errno;
    ::unlink(temporary.c_str());
    return storage_failure(path, error);
  }
  return sync ? sync_directory_of(path) : Result<Done>(Done{});
}

Result<Done> make_directories(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error) return storage_failure(path, error.value());
  return Done{};
}

Result<Done> append_text(const std::string& path, const std::string& text) {
  // O_NONBLOCK: opening a pipe that nobody reads would wait for ever.
  const Descriptor file(::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NONBLOCK, 0644));
  if (!file) return storage_failure(path, errno);
  if (!is_regular(file)) return storage_failure(path, EINVAL);
  const off_t before = ::lseek(file.get(), 0, SEEK_END);
  Result<Done> written = write_all(file.get(), text, path);
  if (!written && before >= 0 && ::ftruncate(file.get(), before) != 0) return written;  // readers skip the torn line
  return written;
}

void for_each_line(const std::string& path, const std::function<void(std::string_view)>& take) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!file || !is_regular(file)) return;  // a device may have no end
  std::vector<char> block(block_bytes);
  std::string line;
  bool too_long = false;
  const auto end_line = [&] {
    if (!too_long) take(line);
    line.clear();
    too_long = false;
  };
  for (ssize_t got = 0; (got = read_again(file.get(), block.data(), block.size())) > 0;) {
    std::string_view rest(block.data(), static_cast<std::size_t>(got));
    while (!rest.empty()) {
      const std::size_t end = std::min(rest.find('\n'), rest.size());
      too_long = too_long || line.size() + end > longest_line;
      if (!too_long) line.append(rest.substr(0, end));
      if (end < rest.size()) end_line();
      rest.remove_prefix(std::min(end + 1, rest.size()));
    }
  }
  if (!line.empty() || too_long) end_line();
}

void cut_torn_line(const std::string& path) {
  const Descriptor file(::open(path.c_str(), O_RDWR | O_CLOEXEC | O_NONBLOCK));
  struct stat about {};
  if (!file || ::fstat(file.get(), &about) != 0 || !S_ISREG(about.st_mode)) return;
  std::vector<char> block(block_bytes);
  off_t keep = about.st_size;
  // From the end: only the last line can be torn.
  for (off_t end = about.st_size; end > 0;) {
    const off_t begin = std::max<off_t>(0, end - static_cast<off_t>(block.size()));
    const ssize_t got = ::pread(file.get(), block.data(), static_cast<std::size_t>(end - begin), begin);
    if (got != end - begin) return;
    const std::size_t found = std::string_view(block.data(), static_cast<std::size_t>(got)).rfind('\n');
    keep = found == std::string_view::npos ? begin : begin + static_cast<off_t>(found) + 1;
    if (found != std::string_view::npos) break;
    end = begin;
  }
  if (keep < about.st_size && ::ftruncate(file.get(), keep) != 0) return;  // the next reader skips the torn line
}

}  // namespace ftl
