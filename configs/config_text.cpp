#include <algorithm>
#include <map>

#include <fmt/format.h>
#include <xxhash.h>
#include <nlohmann/json.hpp>

#include "configs/config_reader.h"
#include "configs/config_values.h"
#include "configs/schema.h"

namespace ftl {
namespace {

using json = nlohmann::ordered_json;

std::string dumped(const json& value, int indent = -1) {
  return value.dump(indent, ' ', false, json::error_handler_t::replace);
}

// JSON's scalars and flow collections are YAML, but for DEL, which is no character of a YAML file.
std::string yaml_of(const json& value) {
  std::string text = dumped(value);
  for (std::size_t at = 0; (at = text.find('\x7f', at)) != std::string::npos;) text.replace(at, 1, "\\u007f");
  return text;
}

json json_of(const Place& place);

json json_of_owner(const std::vector<Key>& keys, Owner owner) {
  json object = json::object();
  for (const Key& key : keys) object[std::string(key.name)] = json_of(key.place(owner));
  return object;
}

json json_of(const Place& place) {
  return std::visit(
      [](auto* value) -> json {
        using Value = std::remove_pointer_t<decltype(value)>;
        if constexpr (std::is_same_v<Value, DatasetType>) {
          return std::string(name_of(*value));
        } else if constexpr (std::is_same_v<Value, std::vector<DatasetConfig>>) {
          json list = json::array();
          for (DatasetConfig& dataset : *value) list.push_back(json_of_owner(dataset_keys(), &dataset));
          return list;
        } else {
          return *value;
        }
      },
      place);
}

// The keys' values, read only: places are pointers into a copy.
std::vector<std::pair<const Key*, json>> values_of(RunConfig config) {
  std::vector<std::pair<const Key*, json>> values;
  for (const Key& key : config_keys()) values.emplace_back(&key, json_of(key.place(&config)));
  return values;
}

std::vector<std::string> changed(const RunConfig& was, const RunConfig& is, bool identity_only) {
  const auto before = values_of(was), after = values_of(is);
  std::vector<std::string> lines;
  for (std::size_t i = 0; i < before.size(); ++i) {
    const Key& key = *before[i].first;
    if (before[i].second == after[i].second || (identity_only && key.behaviour != KeyClass::identity)) continue;
    const auto text = [](const json& value) {
      return value.is_string() && value != "" ? value.get<std::string>() : dumped(value);
    };
    lines.push_back(fmt::format("{}: {} -> {}", key.name, text(before[i].second), text(after[i].second)));
  }
  return lines;
}

}  // namespace

std::string yaml_of(const Place& place) { return yaml_of(json_of(place)); }

std::string to_json(const RunConfig& config) {
  json root = json::object();
  for (const auto& [key, value] : values_of(config)) {
    const std::string name(key->name);
    const std::size_t dot = name.find('.');
    if (dot == std::string::npos)
      root[name] = value;
    else
      root[name.substr(0, dot)][name.substr(dot + 1)] = value;
  }
  return dumped(root);
}

std::string to_yaml(const RunConfig& config) {
  const auto values = values_of(config), defaults = values_of(RunConfig{});
  std::string text, section;
  for (std::size_t i = 0; i < values.size(); ++i) {
    std::string name(values[i].first->name), indent;
    if (const std::size_t dot = name.find('.'); dot != std::string::npos) {
      if (name.substr(0, dot) != section) text += (section = name.substr(0, dot)) + ":\n";
      name = name.substr(dot + 1);
      indent = "  ";
    }
    text += fmt::format("{}{}: {}{}\n", indent, name, yaml_of(values[i].second),
                        values[i].second == defaults[i].second ? "  # default" : "");
  }
  return text;
}

KeyClass key_class(const std::string& name) {
  for (const Key& key : config_keys()) {
    if (key.name == name || key.name.starts_with(name + ".")) return key.behaviour;
  }
  return KeyClass::free;
}

std::string identity_of(const RunConfig& config) {
  std::string text;
  for (const auto& [key, value] : values_of(config)) {
    if (key->behaviour == KeyClass::identity) text += fmt::format("{}={}\n", key->name, dumped(value));
  }
  const XXH128_hash_t hash = XXH3_128bits(text.data(), text.size());
  return fmt::format("{:016x}{:016x}", hash.high64, hash.low64);
}

std::vector<std::string> identity_differences(const RunConfig& was, const RunConfig& is) {
  return changed(was, is, true);
}
std::vector<std::string> differences(const RunConfig& was, const RunConfig& is) { return changed(was, is, false); }

}  // namespace ftl
