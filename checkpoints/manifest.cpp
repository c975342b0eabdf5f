#include "checkpoints/manifest.h"

#include <algorithm>
#include <memory>
#include <set>

#include <fmt/format.h>
#include <xxhash.h>
#include <nlohmann/json.hpp>

namespace ftl {
namespace {

constexpr const char* schema = "ftlaunch.checkpoint/1";
constexpr std::size_t largest_manifest = std::size_t{1} << 20;

bool is_file_name(const std::string& name) {
  return !name.empty() && name != "." && name != ".." && name.size() <= 255 && name.find('/') == std::string::npos &&
         name.find('\0') == std::string::npos;
}

bool is_checksum(const std::string& text) {
  return text.size() == 32 && text.find_first_not_of("0123456789abcdef") == std::string::npos;
}

bool read_whole_number(const nlohmann::json& object, const char* name, std::uint64_t most, std::uint64_t& into) {
  const auto found = object.find(name);
  if (found == object.end() || !found->is_number_unsigned() || found->get<std::uint64_t>() > most) return false;
  into = found->get<std::uint64_t>();
  return true;
}

bool read_text(const nlohmann::json& object, const char* name, std::string& into) {
  const auto found = object.find(name);
  if (found == object.end() || !found->is_string()) return false;
  into = found->get<std::string>();
  return true;
}

bool read_file(const nlohmann::json& item, ManifestFile& file) {
  return item.is_object() && read_text(item, "name", file.name) && is_file_name(file.name) &&
         file.name != manifest_name && read_whole_number(item, "bytes", INT64_MAX, file.bytes) &&
         read_text(item, "xxh3_128", file.xxh3_128) && is_checksum(file.xxh3_128);
}

}  // namespace

std::string to_json(const Manifest& manifest) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const ManifestFile& file : manifest.files)
    list.push_back({{"name", file.name}, {"bytes", file.bytes}, {"xxh3_128", file.xxh3_128}});
  const nlohmann::ordered_json json = {{"schema", schema},
                                       {"step", manifest.step},
                                       {"attempt", manifest.attempt},
                                       {"weights", manifest.weights},
                                       {"files", list}};
  return json.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

Result<Manifest> read_manifest(Files& files, const std::string& directory) {
  const std::string path = directory + "/" + manifest_name;
  const auto corrupt = [&](std::string what) {
    return Failure{FaultKind::checkpoint_corrupt, std::move(what), path, ""};
  };
  if (!files.exists(path)) return corrupt("the checkpoint has no manifest.json, so it was never complete");
  const Result<std::string> text = files.read(path, largest_manifest);
  if (!text) return corrupt("manifest.json cannot be read: " + text.error().what);
  const nlohmann::json json = nlohmann::json::parse(*text, nullptr, false);
  std::string found_schema;
  if (!json.is_object() || !read_text(json, "schema", found_schema) || found_schema != schema) {
    return corrupt(fmt::format("manifest.json is garbage or not of the schema {}", schema));
  }
  Manifest manifest;
  std::uint64_t step = 0, attempt = 0;
  const auto list = json.find("files");
  if (!read_whole_number(json, "step", INT64_MAX, step) || !read_whole_number(json, "attempt", INT32_MAX, attempt) ||
      !read_text(json, "weights", manifest.weights) || list == json.end() || !list->is_array()) {
    return corrupt("manifest.json lacks step, attempt, weights or files, or has them wrong");
  }
  manifest.step = static_cast<std::int64_t>(step);
  manifest.attempt = static_cast<std::int32_t>(attempt);
  std::set<std::string> names;
  for (const nlohmann::json& item : *list) {
    ManifestFile file;
    if (!read_file(item, file)) return corrupt("manifest.json has a file whose name, size or checksum cannot be");
    if (!names.insert(file.name).second) return corrupt(fmt::format("manifest.json names {} twice", file.name));
    manifest.files.push_back(std::move(file));
  }
  for (const std::string& needed :
       {manifest.weights, std::string("optimizer.safetensors"), std::string("trainer_state.json")}) {
    if (!names.count(needed)) return corrupt(fmt::format("manifest.json does not name {}", needed));
  }
  return manifest;
}

std::string checksum_of(std::span<const std::span<const std::byte>> parts, Files& files) {
  const std::unique_ptr<XXH3_state_t, decltype(&XXH3_freeState)> state(XXH3_createState(), &XXH3_freeState);
  XXH3_128bits_reset(state.get());
  for (std::span<const std::byte> part : parts) {
    while (!part.empty()) {
      const std::span<const std::byte> piece = part.first(std::min(part.size(), piece_bytes));
      XXH3_128bits_update(state.get(), piece.data(), piece.size());
      files.sign_of_life();
      part = part.subspan(piece.size());
    }
  }
  const XXH128_hash_t hash = XXH3_128bits_digest(state.get());
  return fmt::format("{:016x}{:016x}", hash.high64, hash.low64);
}

}  // namespace ftl
