// Strings by their bytes: a node's children lie side by side, ordered, so a step is a short search. Built once.
#pragma once

#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

namespace ftl {

class ByteTrie {
 public:
  // Distinct, non-empty strings with values of at least 0, in any order.
  static ByteTrie of(std::vector<std::pair<std::string_view, std::int32_t>> strings);

  static constexpr std::uint32_t root = 0, nowhere = 0xFFFFFFFF;
  std::uint32_t step(std::uint32_t node, char byte) const;
  std::int32_t value(std::uint32_t node) const { return nodes_[node].value; }  // -1: no string ends here

 private:
  struct Node {
    std::uint32_t first_child = 0;
    std::uint16_t children = 0;
    std::uint8_t byte = 0;  // that leads here
    std::int32_t value = -1;
  };
  std::vector<Node> nodes_{1};
};

}  // namespace ftl
