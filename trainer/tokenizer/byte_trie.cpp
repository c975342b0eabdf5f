#include "trainer/tokenizer/byte_trie.h"

#include <algorithm>

namespace ftl {

ByteTrie ByteTrie::of(std::vector<std::pair<std::string_view, std::int32_t>> strings) {
  std::sort(strings.begin(), strings.end());
  ByteTrie trie;
  struct Range {
    std::size_t begin, end, depth;  // strings that share their first `depth` bytes, by node
  };
  std::vector<Range> ranges = {{0, strings.size(), 0}};
  for (std::size_t node = 0; node < ranges.size(); ++node) {
    auto [at, end, depth] = ranges[node];
    if (at < end && strings[at].first.size() == depth) trie.nodes_[node].value = strings[at++].second;
    trie.nodes_[node].first_child = static_cast<std::uint32_t>(trie.nodes_.size());
    while (at < end) {
      const char byte = strings[at].first[depth];
      std::size_t behind = at;
      while (behind < end && strings[behind].first[depth] == byte) ++behind;
      trie.nodes_.push_back({0, 0, static_cast<std::uint8_t>(byte), -1});
      ++trie.nodes_[node].children;
      ranges.push_back({at, behind, depth + 1});
      at = behind;
    }
  }
  return trie;
}

std::uint32_t ByteTrie::step(std::uint32_t node, char byte) const {
  const Node& parent = nodes_[node];
  const auto wanted = static_cast<std::uint8_t>(byte);
  const Node* first = nodes_.data() + parent.first_child;
  const Node* last = first + parent.children;
  if (parent.children > 8)
    first = std::lower_bound(first, last, wanted, [](const Node& child, std::uint8_t b) { return child.byte < b; });
  while (first != last && first->byte < wanted) ++first;
  return first != last && first->byte == wanted ? static_cast<std::uint32_t>(first - nodes_.data()) : nowhere;
}

}  // namespace ftl
