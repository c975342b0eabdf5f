#include "checkpoints/shard_index.h"

#include <set>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "checkpoints/printable.h"

namespace ftl {
namespace {

using nlohmann::json;

// A name from a file opens only files beside it.
bool stays_in_directory(const std::string& name) {
  return !name.empty() && name != "." && name != ".." && name.find('/') == std::string::npos &&
         name.find('\0') == std::string::npos;
}

// The tree keeps one of two equal keys; which file the other one named would be lost.
json parse_and_note_twice(const std::string& text, std::string& twice) {
  std::set<std::string> names;
  std::string section;
  return json::parse(
      text,
      [&](int depth, json::parse_event_t event, const json& value) {
        if (event != json::parse_event_t::key || depth > 2) return true;
        const std::string& key = value.get_ref<const std::string&>();
        if (depth == 1) section = key;
        if (depth == 2 && section == "weight_map" && !names.insert(key).second && twice.empty()) twice = key;
        return true;
      },
      /*allow_exceptions=*/false);
}

std::optional<std::int64_t> total_size_in(const json& index) {
  const auto metadata = index.find("metadata");
  if (metadata == index.end() || !metadata->is_object()) return std::nullopt;
  const auto size = metadata->find("total_size");
  // Some writers put a floating-point number here, with the same meaning.
  if (size == metadata->end() || !size->is_number() || !(size->get<double>() >= 0 && size->get<double>() < 9e18))
    return std::nullopt;
  return size->get<std::int64_t>();
}

}  // namespace

Result<ShardIndex> parse_shard_index(const std::string& text, const std::string& name) {
  const auto wrong = [&](std::string what) {
    return Failure{FaultKind::safetensors_corrupt, std::move(what), name, ""};
  };
  if (text.starts_with("version https://git-lfs")) {
    return Failure{FaultKind::safetensors_corrupt, "the index is a git-lfs pointer, not the index itself", name,
                   "run `git lfs install && git lfs pull` in the model's directory"};
  }
  std::string twice;
  const json index = parse_and_note_twice(text, twice);
  if (!index.is_object()) return wrong(fmt::format("the index ({} bytes) is not a JSON object", text.size()));
  if (!twice.empty()) return wrong(fmt::format("weight_map names the tensor \"{}\" twice", printable(twice)));
  const auto map = index.find("weight_map");
  if (map == index.end() || !map->is_object() || map->empty())
    return wrong("the index has no weight_map, or an empty one");
  ShardIndex got;
  got.total_size = total_size_in(index);
  for (const auto& [tensor, shard] : map->items()) {
    if (!shard.is_string()) return wrong(fmt::format("weight_map of \"{}\" is not a file name", printable(tensor)));
    const std::string& file = shard.get_ref<const std::string&>();
    if (!stays_in_directory(file)) {
      return wrong(fmt::format("weight_map of \"{}\" is \"{}\", which is no name of a file in the model's directory",
                               printable(tensor), printable(file)));
    }
    got.shards[file].push_back(tensor);
  }
  return got;
}

}  // namespace ftl
