// The one table of configuration keys. Reader, JSON, YAML, differences, identity, --set, spelling help and the
// reference in docs/config.md are all derived from it, so a key exists everywhere or nowhere. What other tools call
// them stands in foreign_keys.def.
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "configs/config_reader.h"
#include "configs/run_config.h"

namespace ftl {

// Where a key's value lives in a configuration.
using Place = std::variant<bool*, int*, std::int64_t*, std::uint64_t*, double*, std::string*, std::vector<std::string>*,
                           DatasetType*, std::vector<DatasetConfig>*>;

struct Choice {
  std::string_view text;
  std::string_view canonical = {};  // what it is read as; empty: itself
  bool later = false;               // in the design, not in this version
};

// Whose member a key is.
using Owner = std::variant<RunConfig*, DatasetConfig*>;

struct Key {
  std::string_view name;  // dotted: "parallel.tp"
  Place (*place)(Owner);
  KeyClass behaviour;
  std::string_view description;
  double least = -std::numeric_limits<double>::infinity();
  double most = std::numeric_limits<double>::infinity();
  bool above_least = false;             // the least value itself is not allowed
  std::string_view word_for_zero = {};  // "auto": accepted for 0
  std::vector<Choice> choices = {};
  bool only_default = false;  // any other value is not in this version
};

const std::vector<Key>& config_keys();
const Key* config_key(std::string_view name);  // null: there is none
const std::vector<Key>& dataset_keys();

// The candidate nearest to `name` by edit distance; empty when none is near.
std::string nearest_name(std::string_view name, const std::vector<std::string_view>& candidates);

}  // namespace ftl
