#include <algorithm>
#include <cstring>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "checkpoints/convert.h"
#include "checkpoints/mapped_checkpoint.h"
#include "checkpoints/printable.h"
#include "checkpoints/reader.h"
#include "checkpoints/safetensors.h"
#include "checkpoints/shard_index.h"

namespace ftl {
namespace {

constexpr std::size_t largest_index = std::size_t{64} << 20;

class Shards {
 public:
  // Takes the tensors that `wanted` accepts. No tensor may lie in two files.
  template <class Wanted>
  Result<Done> add(Files& files, const std::string& path, Wanted wanted) {
    Result<MappedFile> file = files.map(path);
    if (!file) return file.error();
    Result<SafetensorsHeader> header = parse_safetensors(file->bytes, path);
    if (!header) return header.error();
    for (SafetensorsEntry& entry : header->entries) {
      const auto [place, is_first] = lies_in_.try_emplace(entry.info.name, path);
      if (!is_first) {
        return Failure{
            FaultKind::safetensors_corrupt,
            fmt::format("tensor \"{}\" lies in two shards, here and in {}", printable(entry.info.name), place->second),
            path, "fetch the checkpoint into an empty directory: these shards are not of one checkpoint"};
      }
      if (!wanted(entry.info.name)) continue;
      checkpoint_->add(std::move(entry.info),
                       file->bytes.subspan(header->data_begin + entry.begin, entry.end - entry.begin));
    }
    checkpoint_->keep(std::move(*file));
    return Done{};
  }
  std::unique_ptr<CheckpointReader> finish() {
    checkpoint_->finish();
    return std::move(checkpoint_);
  }

 private:
  std::unique_ptr<MappedCheckpoint> checkpoint_ = std::make_unique<MappedCheckpoint>();
  std::map<std::string, std::string> lies_in_;  // tensor -> file
};

Result<std::unique_ptr<CheckpointReader>> open_one(Files& files, const std::string& path) {
  Shards opened;
  if (Result<Done> added = opened.add(files, path, [](const std::string&) { return true; }); !added)
    return added.error();
  return opened.finish();
}

std::optional<Failure> missing_shards(Files& files, const std::string& directory, const ShardIndex& index,
                                      const std::string& index_path) {
  std::vector<std::string> missing;
  std::size_t tensors = 0;
  for (const auto& [shard, names] : index.shards) {
    if (files.exists(directory + "/" + shard)) continue;
    missing.push_back(printable(shard));
    tensors += names.size();
  }
  if (missing.empty()) return std::nullopt;
  const std::size_t count = missing.size();
  if (count > 8) missing.resize(8);
  return Failure{FaultKind::checkpoint_incomplete,
                 fmt::format("{} of the {} shards that the index names are missing, with {} tensors: {}{}", count,
                             index.shards.size(), tensors, fmt::join(missing, ", "), count > 8 ? ", ..." : ""),
                 index_path, "fetch the missing shards into the same directory"};
}

Result<std::unique_ptr<CheckpointReader>> open_sharded(Files& files, const std::string& directory,
                                                       const std::string& index_path) {
  const Result<std::string> text = files.read(index_path, largest_index);
  if (!text) return text.error();
  const Result<ShardIndex> index = parse_shard_index(*text, index_path);
  if (!index) return index.error();
  if (auto missing = missing_shards(files, directory, *index, index_path)) return *missing;
  Shards opened;
  for (const auto& [shard, tensors] : index->shards) {
    const std::string path = directory + "/" + shard;
    std::set<std::string> unseen(tensors.begin(), tensors.end());
    const auto wanted = [&](const std::string& name) { return unseen.erase(name) == 1; };
    if (Result<Done> added = opened.add(files, path, wanted); !added) return added.error();
    if (unseen.empty()) continue;
    return Failure{FaultKind::checkpoint_incomplete,
                   fmt::format("shard {} lacks {} of the {} tensors that the index puts into it, first \"{}\"",
                               printable(shard), unseen.size(), tensors.size(), printable(*unseen.begin())),
                   path, ""};
  }
  return opened.finish();
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
