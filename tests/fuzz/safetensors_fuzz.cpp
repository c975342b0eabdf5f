// A safetensors file. Accepted: every tensor lies within the file and has the bytes of its shape; the file that our
// writer makes of the same tensors is accepted and has them.
#include "checkpoints/safetensors.h"

#include "tests/fuzz/fuzz_target.h"
#include "tests/tokenizer/memory_files.h"

namespace ftl {
namespace {

void check_written_again(std::span<const std::byte> file, const SafetensorsHeader& header) {
  std::vector<TensorToWrite> tensors;
  for (const auto& [info, begin, end] : header.entries) {
    if (info.unsupported_dtype.empty())
      tensors.push_back({info.name, info.dtype, info.shape, file.subspan(header.data_begin + begin, end - begin)});
  }
  const Result<SafetensorsImage> image = lay_out_safetensors(tensors, header.metadata);
  must(static_cast<bool>(image), "what was read can be written");
  std::string bytes;
  for (const auto part : image->parts()) bytes.append(reinterpret_cast<const char*>(part.data()), part.size());
  const Result<SafetensorsHeader> again = parse_safetensors(std::as_bytes(std::span(bytes)), "written");
  must(static_cast<bool>(again), "what was written can be read");
  must(again->metadata == header.metadata && again->entries.size() == tensors.size(), "nothing is lost");
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const SafetensorsEntry& entry = again->entries[i];
    const std::string_view data =
        std::string_view(bytes).substr(again->data_begin + entry.begin, entry.end - entry.begin);
    must(entry.info.name == tensors[i].name && entry.info.dtype == tensors[i].dtype &&
             entry.info.shape == tensors[i].shape,
         "tensors keep name, dtype and shape");
    must(data == std::string_view(reinterpret_cast<const char*>(tensors[i].bytes.data()), tensors[i].bytes.size()),
         "tensors keep their bytes");
  }
}

bool run(std::string_view input) {
  const auto file = std::as_bytes(std::span(input));
  const Result<SafetensorsHeader> header = parse_safetensors(file, "given.safetensors");
  if (!header) {
    must(header.error().kind == FaultKind::safetensors_corrupt && !header.error().what.empty(), "a refusal says why");
    return false;
  }
  std::size_t reached = header->data_begin;
  must(reached <= file.size(), "the data part begins within the file");
  for (const SafetensorsEntry& entry : header->entries) {
    must(entry.begin <= entry.end && entry.end <= file.size() - header->data_begin, "tensors lie within the file");
    reached += entry.end - entry.begin;
    if (!entry.info.unsupported_dtype.empty()) continue;
    const auto bytes = static_cast<std::size_t>(element_count(entry.info) * size_in_bytes(entry.info.dtype));
    must(bytes == entry.end - entry.begin, "a tensor has the bytes of its shape");
  }
  must(reached == file.size(), "the tensors fill the file");
  check_written_again(file, *header);

  MemoryFiles files({{"m.safetensors", std::string(input)}});
  const auto reader = open_safetensors(files, "m.safetensors");
  must(static_cast<bool>(reader), "the reader takes what the parser takes");
  for (const TensorInfo& tensor : (*reader)->tensors()) {
    std::vector<float> values(tensor.unsupported_dtype.empty() ? static_cast<std::size_t>(element_count(tensor)) : 0);
    (void)(*reader)->read_f32(tensor.name, values);
  }
  return true;
}

const FuzzTarget target("safetensors", run);

}  // namespace
}  // namespace ftl
