// One value between its written form and its place in the configuration: types, ranges and choices, judged alone.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "configs/config_tree.h"
#include "configs/schema.h"

namespace ftl {

// What is demanded of a value; keys of other tools that we only derive from have one too.
struct Demand {
  std::string name;
  double least, most;
  bool above_least;
  std::string_view word_for_zero;
  const std::vector<Choice>* choices;
};
inline Demand demand_of(const Key& key) {
  return {std::string(key.name), key.least, key.most, key.above_least, key.word_for_zero, &key.choices};
}

// nullopt: `place` holds the value. Failure kinds config_invalid_value and not_in_this_version.
// `place` is no list of data sets (config_reader.cpp reads those key by key).
std::optional<Failure> assign(const Demand& demand, Place place, const ConfigNode& node);
// The same for a key of a configuration, and whether this version has the value. `name`: what the file calls the key.
std::optional<Failure> assign_key(const Key& key, const std::string& name, RunConfig& config, const ConfigNode& node);
// As YAML 1.2 spells them: true, True, TRUE ...; nullopt: neither, or in quotes.
std::optional<bool> truth_of(const ConfigNode& node);
std::string_view name_of(DatasetType type);
// The place's value as YAML in one line.
std::string yaml_of(const Place& place);

}  // namespace ftl
