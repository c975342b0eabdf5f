// A zip archive. Accepted: every member lies within the file, under a name of its own; and a file of torch.save that is
// read from it has every tensor within the file, with the bytes of its shape.
#include "checkpoints/zip_directory.h"

#include "checkpoints/torch_file.h"
#include "tests/fuzz/fuzz_target.h"

namespace ftl {
namespace {

bool lies_within(std::span<const std::byte> part, std::span<const std::byte> whole) {
  return part.empty() || (part.data() >= whole.data() && part.data() + part.size() <= whole.data() + whole.size());
}

void check_torch_file(std::span<const std::byte> file) {
  const Result<std::vector<TorchTensor>> tensors = parse_torch_file(file, "given.pth");
  if (!tensors) {
    must(!tensors.error().what.empty() && tensors.error().where == "given.pth", "a refusal says why and where");
    return;
  }
  for (const TorchTensor& tensor : *tensors) {
    must(lies_within(tensor.bytes, file), "tensors lie within the file");
    must(
        static_cast<std::int64_t>(tensor.bytes.size()) == element_count(tensor.info) * size_in_bytes(tensor.info.dtype),
        "a tensor has the bytes of its shape");
  }
}

bool run(std::string_view input) {
  const auto file = std::as_bytes(std::span(input));
  check_torch_file(file);
  const Result<std::vector<ZipMember>> members = read_zip_directory(file, "given.zip");
  if (!members) {
    must(!members.error().what.empty() && members.error().where == "given.zip", "a refusal says why and where");
    return false;
  }
  for (std::size_t i = 0; i < members->size(); ++i) {
    must(lies_within((*members)[i].bytes, file), "members lie within the file");
    must(i == 0 || (*members)[i - 1].name < (*members)[i].name, "names are sorted and unique");
  }
  return true;
}

const FuzzTarget target("zip_directory", run);

}  // namespace
}  // namespace ftl
