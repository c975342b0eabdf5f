// The safetensors format (huggingface/safetensors, tensor.rs): u64 little-endian header length (at most 100 MB), JSON
// header, then the tensors' bytes. Nothing in a file is trusted: every offset is checked against the shape, the dtype
// and the file's size.
#pragma once

#include <cstddef>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "checkpoints/files.h"
#include "checkpoints/reader.h"
#include "failures/result.h"

namespace ftl {

struct SafetensorsEntry {
  TensorInfo info;
  std::size_t begin = 0;  // within the data part
  std::size_t end = 0;
};
struct SafetensorsHeader {
  std::vector<SafetensorsEntry> entries;  // sorted by name
  std::map<std::string, std::string> metadata;
  std::size_t data_begin = 0;  // offset of the data part in the file
};

// `file` is the whole file; `name` is for messages. Failure kind safetensors_corrupt, which says what is wrong, both
// numbers and where.
Result<SafetensorsHeader> parse_safetensors(std::span<const std::byte> file, const std::string& name);

struct TensorToWrite {
  std::string name;
  DType dtype;
  std::vector<std::int64_t> shape;
  std::span<const std::byte> bytes;
};
// The file as the writer would make it: header (length word included) and the tensors' own bytes, in order, not copied.
struct SafetensorsImage {
  std::string header;
  std::vector<std::span<const std::byte>> data;
  std::vector<std::span<const std::byte>> parts()
      const;  // header first; valid as long as the image and the tensors' bytes
};
Result<SafetensorsImage> lay_out_safetensors(std::vector<TensorToWrite> tensors,
                                             const std::map<std::string, std::string>& metadata = {{"format", "pt"}});
// The reference writer's layout (dtype descending in its own order, widest first, then name; header padded with spaces
// to 8): same tensors, same bytes.
Result<Done> write_safetensors(Files& files, const std::string& path, std::vector<TensorToWrite> tensors,
                               const std::map<std::string, std::string>& metadata = {{"format", "pt"}});

}  // namespace ftl
