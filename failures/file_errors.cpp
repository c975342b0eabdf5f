#include "failures/file_errors.h"

#include <sys/statvfs.h>

#include <cerrno>
#include <cstdint>
#include <filesystem>

namespace ftl {

FaultKind kind_of_failed_read(int error) {
  switch (error) {
    case ENOENT:
    case ENOTDIR:
    case EISDIR:
    case EACCES:
    case EPERM:
    case ELOOP:
    case ENAMETOOLONG: return FaultKind::file_not_found;
    case ENOMEM: return FaultKind::host_out_of_memory;
    default: return FaultKind::storage_failed;
  }
}

FaultKind kind_of_failed_write(int error) {
  switch (error) {
    case ENOSPC:
    case EDQUOT: return FaultKind::storage_full;
    case ENOMEM: return FaultKind::host_out_of_memory;
    default: return FaultKind::storage_failed;
  }
}

std::string free_bytes_at(const std::string& path) {
  const std::filesystem::path parent = std::filesystem::path(path).parent_path();
  struct statvfs room {};
  if (::statvfs(parent.empty() ? "." : parent.c_str(), &room) != 0) return "an unknown number of";
  return std::to_string(static_cast<std::uint64_t>(room.f_bavail) * room.f_frsize);
}

}  // namespace ftl
