#include "configs/named_path.h"

#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

namespace ftl {
namespace {

namespace fs = std::filesystem;

const char* word_for(fs::file_type type) {
  switch (type) {
    case fs::file_type::regular: return "a file";
    case fs::file_type::directory: return "a directory";
    case fs::file_type::fifo: return "a named pipe";
    case fs::file_type::socket: return "a socket";
    case fs::file_type::block:
    case fs::file_type::character: return "a device";
    default: return "of an unknown kind";
  }
}

std::optional<Failure> why_not(const std::string& path, fs::file_type wanted) {
  const auto failure = [&](const std::string& what) { return Failure{FaultKind::file_not_found, what, path, ""}; };
  std::error_code error;
  const fs::file_type type = fs::status(path, error).type();
  if (type == fs::file_type::not_found) return failure("there is no " + path);
  if (type == fs::file_type::none) return failure(path + " cannot be looked at: " + error.message());
  if (type != wanted) return failure(path + " is " + word_for(type) + "; " + word_for(wanted) + " is needed");
  if (::access(path.c_str(), wanted == fs::file_type::directory ? R_OK | X_OK : R_OK) != 0)
    return failure(path + " cannot be read by user " + std::to_string(::geteuid()) + ": " + std::strerror(errno));
  return std::nullopt;
}

}  // namespace

std::optional<Failure> why_not_a_file(const std::string& path) { return why_not(path, fs::file_type::regular); }
std::optional<Failure> why_not_a_directory(const std::string& path) { return why_not(path, fs::file_type::directory); }

}  // namespace ftl
