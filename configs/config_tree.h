// A configuration as it was written: scalars, lists and mappings with their places, before anything is known about
// keys. Built from parser events under limits, so that a hostile file (deep, expanding, huge) is refused before memory
// or stack is spent.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "failures/result.h"

namespace ftl {

struct ConfigNode {
  enum class Shape { null, scalar, list, mapping };
  Shape shape = Shape::null;
  std::string text;                     // of a scalar
  bool quoted = false;                  // a scalar in quotes is text, whatever it looks like
  std::string where;                    // "lora.yaml:12:3" or "--set key"
  std::vector<std::string> keys;        // of a mapping, all different, as many as children
  std::vector<std::string> key_places;  // where each key stands
  std::vector<ConfigNode> children;     // of a list or mapping
  std::size_t size = 1;                 // nodes of this subtree
  std::size_t height = 1;               // levels of this subtree
};

inline constexpr std::size_t largest_config = std::size_t{1} << 20;  // bytes
inline constexpr std::size_t deepest_config = 64;                    // levels
inline constexpr std::size_t most_config_nodes = 100'000;            // with every alias expanded

// `origin`: a file's path, which gets ":line:column" (1-based), or with `is_file` false the place itself.
// config_syntax.
Result<ConfigNode> parse_yaml(const std::string& text, const std::string& origin, bool is_file = true);
Result<ConfigNode> parse_json(const std::string& text, const std::string& origin);
// "'abc'", "a list", "a mapping", "nothing": for messages, one short line.
std::string shown(const ConfigNode& node);
std::string shown(const std::string& text);

}  // namespace ftl
