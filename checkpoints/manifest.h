// manifest.json: what a durable checkpoint consists of, with the size and checksum of every file. It is written last
// and judged first; its names are names of files beside it and nothing else.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "checkpoints/files.h"
#include "failures/result.h"

namespace ftl {

inline constexpr const char* manifest_name = "manifest.json";

struct ManifestFile {
  std::string name;
  std::uint64_t bytes = 0;
  std::string xxh3_128;  // 32 hexadecimal digits
  bool operator==(const ManifestFile&) const = default;
};
struct Manifest {
  std::int64_t step = 0;
  std::int32_t attempt = 0;  // that wrote it
  std::string weights;       // the name of the weights' file, one of `files`
  std::vector<ManifestFile> files;
};

std::string to_json(const Manifest& manifest);
// checkpoint_corrupt: garbage, a name that leaves the directory, or a missing file.
Result<Manifest> read_manifest(Files& files, const std::string& directory);
// With signs of life to `files`: the bytes may have to be read first.
std::string checksum_of(std::span<const std::span<const std::byte>> parts, Files& files);

}  // namespace ftl
