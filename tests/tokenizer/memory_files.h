// Files in memory, for what only reads: a map of path -> bytes.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>

#include "checkpoints/files.h"

namespace ftl {

class MemoryFiles final : public Files {
 public:
  MemoryFiles() = default;
  explicit MemoryFiles(std::map<std::string, std::string> files) : files_(std::move(files)) {}
  std::string& operator[](const std::string& path) { return files_[path]; }

  Result<std::string> read(const std::string& path, std::size_t limit) override {
    const auto found = files_.find(path);
    if (found == files_.end()) return missing(path);
    if (found->second.size() > limit)
      return Failure{FaultKind::file_not_found, "the file is larger than the limit", path, ""};
    return found->second;
  }
  Result<MappedFile> map(const std::string& path) override {
    const auto found = files_.find(path);
    if (found == files_.end()) return missing(path);
    const auto copy = std::make_shared<const std::string>(found->second);
    return MappedFile{copy, std::as_bytes(std::span(*copy))};
  }
  bool exists(const std::string& path) override { return files_.contains(path); }
  Result<std::vector<std::string>> list(const std::string& path) override { return refused(path); }
  Result<Done> write(const std::string& path, std::span<const std::span<const std::byte>>) override {
    return refused(path);
  }
  Result<Done> make_directories(const std::string& path) override { return refused(path); }
  Result<Done> rename(const std::string& path, const std::string&) override { return refused(path); }
  Result<Done> sync_directory(const std::string& path) override { return refused(path); }
  Result<Done> remove_all(const std::string& path) override { return refused(path); }

 private:
  static Failure missing(const std::string& path) { return {FaultKind::file_not_found, "no such file", path, ""}; }
  static Failure refused(const std::string& path) {
    return {FaultKind::internal_error, "these files are only read", path, ""};
  }
  std::map<std::string, std::string> files_;
};

}  // namespace ftl
