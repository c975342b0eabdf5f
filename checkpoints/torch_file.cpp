#include "checkpoints/torch_file.h"

#include <algorithm>
#include <string_view>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "checkpoints/printable.h"
#include "checkpoints/state_dict_pickle.h"
#include "checkpoints/zip_directory.h"

namespace ftl {
namespace {

// PROTO 2, then LONG1 of the ten bytes of torch's magic number 0x1950a86a20f9469cfc6c.
constexpr std::string_view legacy_magic("\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19", 14);
constexpr std::string_view pickle_member = "/data.pkl";

std::string_view text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

Failure damaged(const std::string& name, std::string what) {
  return {FaultKind::checkpoint_incomplete, std::move(what), name, "fetch the file again and compare its size"};
}
Failure not_taken(const std::string& name, std::string what, std::string fix) {
  return {FaultKind::model_family_unsupported, std::move(what), name, std::move(fix)};
}

Failure no_archive(std::span<const std::byte> file, const std::string& name) {
  const std::string_view text = text_of(file);
  if (text.starts_with("version https://git-lfs")) {
    return {FaultKind::checkpoint_incomplete,
            fmt::format("the file is a git-lfs pointer of {} bytes, not the weights themselves", file.size()), name,
            "run `git lfs install && git lfs pull` in the model's directory, or fetch the file itself"};
  }
  if (text.starts_with(legacy_magic)) {
    return not_taken(name, "the file has the legacy format of torch.save (before torch 1.6), which is no zip archive",
                     "load it with torch.load(..., weights_only=True) and save it again with torch.save");
  }
  return damaged(
      name,
      fmt::format("the file of {} bytes does not begin as a zip archive, so torch.save did not write it", file.size()));
}

const ZipMember* find(const std::vector<ZipMember>& members, const std::string& name) {
  const auto place = std::lower_bound(members.begin(), members.end(), name,
                                      [](const ZipMember& member, const std::string& n) { return member.name < n; });
  return place != members.end() && place->name == name ? &*place : nullptr;
}

bool is_contiguous(const PickledTensor& tensor) {
  if (std::ranges::count(tensor.shape, 0) > 0) return true;  // and the product below could overflow
  std::int64_t expected = 1;
  for (std::size_t i = tensor.shape.size(); i-- > 0;) {
    if (tensor.shape[i] > 1 && tensor.strides[i] != expected) return false;
    expected *= tensor.shape[i];
  }
  return true;
}

Result<TorchTensor> locate(PickledTensor tensor, const std::vector<ZipMember>& members, const std::string& root,
                           const std::string& name) {
  const std::string member_name = root + "/data/" + tensor.storage;
  const ZipMember* storage = find(members, member_name);
  if (storage == nullptr) {
    return damaged(name, fmt::format("the archive lacks \"{}\", the storage of tensor \"{}\"", printable(member_name),
                                     printable(tensor.name)));
  }
  const std::int64_t width = size_in_bytes(tensor.dtype);
  if (tensor.storage_elements > static_cast<std::int64_t>(storage->bytes.size()) / width ||
      tensor.storage_elements * width != static_cast<std::int64_t>(storage->bytes.size())) {
    return damaged(name, fmt::format("the storage of tensor \"{}\" has {} bytes, its {} elements of {} need others",
                                     printable(tensor.name), storage->bytes.size(), tensor.storage_elements,
                                     name_of(tensor.dtype)));
  }
  if (!is_contiguous(tensor)) {
    return not_taken(
        name,
        fmt::format("tensor \"{}\" of [{}] is a strided view (strides [{}]) of its storage", printable(tensor.name),
                    fmt::join(tensor.shape, ", "), fmt::join(tensor.strides, ", ")),
        "save it with .contiguous()");
  }
  TorchTensor located{{std::move(tensor.name), tensor.dtype, std::move(tensor.shape), name}, {}};
  located.bytes = storage->bytes.subspan(static_cast<std::size_t>(tensor.offset * width),
                                         static_cast<std::size_t>(element_count(located.info) * width));
  return located;
}

}  // namespace

Result<std::vector<TorchTensor>> parse_torch_file(std::span<const std::byte> file, const std::string& name) {
  if (!looks_like_zip(file)) return no_archive(file, name);
  const Result<std::vector<ZipMember>> members = read_zip_directory(file, name);
  if (!members) return members.error();
  const auto pickle = std::find_if(members->begin(), members->end(), [](const ZipMember& member) {
    return member.name.ends_with(pickle_member) && member.name.find('/') == member.name.size() - pickle_member.size();
  });
  if (pickle == members->end())
    return damaged(name, fmt::format("none of the {} members of the archive is data.pkl", members->size()));
  const std::string root = pickle->name.substr(0, pickle->name.size() - pickle_member.size());
  if (find(*members, root + "/constants.pkl") != nullptr) {
    return not_taken(name, "the archive is a TorchScript program, not a dictionary of tensors",
                     "save the state_dict() of the model with torch.save");
  }
  const ZipMember* order = find(*members, root + "/byteorder");
  if (order != nullptr && text_of(order->bytes) != "little") {
    return not_taken(name,
                     fmt::format("its byte order is \"{}\"; \"little\" is read", printable(text_of(order->bytes))),
                     "save the file again on a little-endian machine");
  }
  Result<std::vector<PickledTensor>> described = read_state_dict_pickle(pickle->bytes, name);
  if (!described) return described.error();
  std::vector<TorchTensor> tensors;
  for (PickledTensor& tensor : *described) {
    Result<TorchTensor> located = locate(std::move(tensor), *members, root, name);
    if (!located) return located.error();
    tensors.push_back(std::move(*located));
  }
  std::sort(tensors.begin(), tensors.end(), [](const auto& a, const auto& b) { return a.info.name < b.info.name; });
  return tensors;
}

Result<TorchFile> open_torch_file(Files& files, const std::string& path) {
  Result<MappedFile> file = files.map(path);
  if (!file) return file.error();
  Result<std::vector<TorchTensor>> tensors = parse_torch_file(file->bytes, path);
  if (!tensors) return tensors.error();
  return TorchFile{std::move(*file), std::move(*tensors)};
}

}  // namespace ftl
