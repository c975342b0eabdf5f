#include <algorithm>
#include <cstring>
#include <map>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "checkpoints/convert.h"
#include "checkpoints/reader.h"
#include "checkpoints/safetensors.h"

namespace ftl {
namespace {

constexpr std::size_t largest_index = std::size_t{64} << 20;

class SafetensorsReader final : public CheckpointReader {
 public:
  const std::vector<TensorInfo>& tensors() const override { return tensors_; }

  Result<std::span<const std::byte>> bytes(const std::string& name) const override {
    const TensorInfo* tensor = find(name);
    if (tensor == nullptr)
      return Failure{FaultKind::checkpoint_incomplete, fmt::format("the checkpoint has no tensor \"{}\"", name), "",
                     ""};
    if (!tensor->unsupported_dtype.empty()) {
      return Failure{FaultKind::model_family_unsupported,
                     fmt::format("tensor \"{}\" has the dtype {}; F32, BF16 and F16 are supported", name,
                                 tensor->unsupported_dtype),
                     tensor->file, "use the weights in BF16, F16 or F32"};
    }
    return spans_[static_cast<std::size_t>(tensor - tensors_.data())];
  }

  // Takes the tensors that `wanted` accepts. Call finish() after the last file.
  template <class Wanted>
  Result<Done> add(Files& files, const std::string& path, Wanted wanted) {
    Result<MappedFile> file = files.map(path);
    if (!file) return file.error();
    Result<SafetensorsHeader> header = parse_safetensors(file->bytes, path);
    if (!header) return header.error();
    for (SafetensorsEntry& entry : header->entries) {
      if (!wanted(entry.info.name)) continue;
      found_.emplace_back(std::move(entry.info),
                          file->bytes.subspan(header->data_begin + entry.begin, entry.end - entry.begin));
    }
    files_.push_back(std::move(*file));
    return Done{};
  }

  void finish() {
    std::sort(found_.begin(), found_.end(), [](const auto& a, const auto& b) { return a.first.name < b.first.name; });
    for (auto& [info, span] : found_) {
      tensors_.push_back(std::move(info));
      spans_.push_back(span);
    }
    found_.clear();
  }

 private:
  std::vector<MappedFile> files_;
  std::vector<std::pair<TensorInfo, std::span<const std::byte>>> found_;
  std::vector<TensorInfo> tensors_;
  std::vector<std::span<const std::byte>> spans_;  // of tensors_, in the same order
};

using WeightMap = std::map<std::string, std::vector<std::string>>;  // shard -> its tensors, sorted

Failure bad_index(const std::string& path, std::string what) {
  return {FaultKind::safetensors_corrupt, std::move(what), path, ""};
}

// A name from a file opens only files beside it.
bool stays_in_directory(const std::string& name) {
  return !name.empty() && name != "." && name != ".." && name.find('/') == std::string::npos &&
         name.find('\0') == std::string::npos;
}

Result<WeightMap> read_index(Files& files, const std::string& path) {
  const Result<std::string> text = files.read(path, largest_index);
  if (!text) return text.error();
  if (text->starts_with("version https://git-lfs")) {
    return Failure{FaultKind::safetensors_corrupt, "the index is a git-lfs pointer, not the index itself", path,
                   "run `git lfs install && git lfs pull` in the model's directory"};
  }
  const nlohmann::json index = nlohmann::json::parse(*text, nullptr, false);
  if (!index.is_object()) return bad_index(path, "the index is not a JSON object");
  const auto map = index.find("weight_map");
  if (map == index.end() || !map->is_object() || map->empty())
    return bad_index(path, "the index has no weight_map, or an empty one");
  WeightMap shards;
  for (const auto& [tensor, shard] : map->items()) {
    if (!shard.is_string()) return bad_index(path, fmt::format("weight_map of \"{}\" is not a file name", tensor));
    const std::string& name = shard.get_ref<const std::string&>();
    if (!stays_in_directory(name)) {
      return bad_index(
          path, fmt::format("weight_map of \"{}\" is \"{}\", which is no name of a file in the model's directory",
                            tensor, name));
    }
    shards[name].push_back(tensor);
  }
  return shards;
}

Result<std::unique_ptr<CheckpointReader>> open_one(Files& files, const std::string& path) {
  auto reader = std::make_unique<SafetensorsReader>();
  if (Result<Done> added = reader->add(files, path, [](const std::string&) { return true; }); !added)
    return added.error();
  reader->finish();
  return std::unique_ptr<CheckpointReader>(std::move(reader));
}

Result<std::unique_ptr<CheckpointReader>> open_sharded(Files& files, const std::string& directory,
                                                       const std::string& index) {
  const Result<WeightMap> shards = read_index(files, index);
  if (!shards) return shards.error();
  auto reader = std::make_unique<SafetensorsReader>();
  for (const auto& [shard, tensors] : *shards) {
    const std::string path = directory + "/" + shard;
    if (!files.exists(path)) {
      return Failure{FaultKind::checkpoint_incomplete,
                     fmt::format("shard {} is missing; the index names {} shards and puts {} tensors into this one",
                                 shard, shards->size(), tensors.size()),
                     path, ""};
    }
    std::vector<std::string> unseen = tensors;
    const auto wanted = [&](const std::string& name) {
      const auto place = std::lower_bound(unseen.begin(), unseen.end(), name);
      if (place == unseen.end() || *place != name) return false;
      unseen.erase(place);
      return true;
    };
    if (Result<Done> added = reader->add(files, path, wanted); !added) return added.error();
    if (!unseen.empty()) {
      return Failure{FaultKind::checkpoint_incomplete,
                     fmt::format("shard {} lacks {} of the {} tensors that the index puts into it, first \"{}\"", shard,
                                 unseen.size(), tensors.size(), unseen.front()),
                     path, ""};
    }
  }
  reader->finish();
  return std::unique_ptr<CheckpointReader>(std::move(reader));
}

}  // namespace

std::int64_t element_count(const TensorInfo& tensor) {
  std::int64_t count = 1;
  for (std::int64_t extent : tensor.shape) count *= extent;
  return count;
}

const TensorInfo* CheckpointReader::find(const std::string& name) const {
  const std::vector<TensorInfo>& all = tensors();
  const auto place = std::lower_bound(all.begin(), all.end(), name,
                                      [](const TensorInfo& tensor, const std::string& n) { return tensor.name < n; });
  return place != all.end() && place->name == name ? &*place : nullptr;
}

Result<Done> CheckpointReader::read_f32(const std::string& name, std::span<float> into) const {
  const Result<std::span<const std::byte>> stored = bytes(name);
  if (!stored) return stored.error();
  const TensorInfo& tensor = *find(name);
  if (static_cast<std::size_t>(element_count(tensor)) != into.size()) {
    return Failure{
        FaultKind::internal_error,
        fmt::format("tensor \"{}\" has {} elements, room is for {}", name, element_count(tensor), into.size()),
        tensor.file, ""};
  }
  if (into.empty()) return Done{};
  if (tensor.dtype == DType::f32) {
    std::memcpy(into.data(), stored->data(), into.size_bytes());
    return Done{};
  }
  if (tensor.dtype != DType::bf16 && tensor.dtype != DType::f16) {
    return Failure{
        FaultKind::model_family_unsupported,
        fmt::format("tensor \"{}\" has the dtype {}, which is no floating-point type", name, name_of(tensor.dtype)),
        tensor.file, "use the weights in BF16, F16 or F32"};
  }
  const bool is_bf16 = tensor.dtype == DType::bf16;
  for (std::size_t i = 0; i < into.size(); ++i) {
    std::uint16_t half = 0;  // copied: a file may place halves at odd addresses
    std::memcpy(&half, stored->data() + 2 * i, sizeof half);
    into[i] = is_bf16 ? bf16_to_f32(half) : f16_to_f32(half);
  }
  return Done{};
}

Result<std::unique_ptr<CheckpointReader>> open_safetensors(Files& files, const std::string& path) {
  if (path.ends_with(".safetensors")) return open_one(files, path);
  if (!files.exists(path)) return Failure{FaultKind::file_not_found, "the model's directory does not exist", path, ""};
  const std::string single = path + "/model.safetensors", index = path + "/model.safetensors.index.json";
  if (files.exists(single)) return open_one(files, single);
  if (files.exists(index)) return open_sharded(files, path, index);
  return Failure{FaultKind::checkpoint_incomplete,
                 "the directory has neither model.safetensors nor model.safetensors.index.json", path,
                 "name a Hugging Face model directory in safetensors format"};
}

}  // namespace ftl
