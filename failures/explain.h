// What a fault kind or a code of the taxonomy means, in words: the text of `ftlaunch explain`, and the table of
// failures/README.md.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>

#include "failures/failure.h"

namespace ftl {

enum class TaxonomyTree : std::uint8_t { symptom, root_cause };

struct TaxonomyNode {
  TaxonomyTree tree;
  std::string_view code;  // "A.3.1"
  std::string_view name;
};

inline constexpr std::array taxonomy_nodes{
#define NODE(tree, code, name) TaxonomyNode{TaxonomyTree::tree, code, name},
#include "failures/taxonomy_tree.def"
#undef NODE
};

// Null when the tree has no such code.
constexpr const TaxonomyNode* find_node(TaxonomyTree tree, std::string_view code) {
  for (const TaxonomyNode& node : taxonomy_nodes) {
    if (node.tree == tree && node.code == code) return &node;
  }
  return nullptr;
}

// By index: g++ 12 with -fsanitize=undefined takes no address in a constant expression.
constexpr bool has_node(TaxonomyTree tree, std::string_view code) {
  for (std::size_t i = 0; i < taxonomy_nodes.size(); ++i) {
    if (taxonomy_nodes[i].tree == tree && taxonomy_nodes[i].code == code) return true;
  }
  return false;
}

constexpr bool every_code_is_in_the_tree() {
  for (std::size_t i = 0; i < fault_table.size(); ++i) {
    if (!has_node(TaxonomyTree::symptom, fault_table[i].symptom)) return false;
    if (!has_node(TaxonomyTree::root_cause, fault_table[i].root_cause)) return false;
  }
  return true;
}
static_assert(every_code_is_in_the_tree(), "a kind of taxonomy.def has a code that taxonomy_tree.def lacks");

// The observation that makes a verdict this kind and no other; one sentence without a full stop.
std::string_view deciding_evidence(FaultKind kind);

struct Explanation {
  bool known = false;  // false: the text says so and names the nearest words
  std::string text;    // ends in a newline
};
// `word`: a fault kind ("rank_stuck"), "S:B.2", "R:A.3.3", or a bare code, which is looked up in both trees.
Explanation explain(std::string_view word);

// Every kind as a Markdown table, one row each.
std::string taxonomy_as_markdown();

}  // namespace ftl
