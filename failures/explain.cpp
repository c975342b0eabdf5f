#include "failures/explain.h"

#include <algorithm>
#include <numeric>
#include <utility>
#include <vector>

namespace ftl {
namespace {

std::string_view name_of(Stage stage) {
  switch (stage) {
    case Stage::usage: return "usage";
    case Stage::preflight: return "preflight";
    case Stage::run: return "run";
    case Stage::internal: return "internal";
  }
  return "internal";
}

std::string_view meaning_of(Stage stage) {
  switch (stage) {
    case Stage::usage: return "wrong by command line and configuration alone";
    case Stage::preflight: return "found before anything is launched";
    case Stage::run: return "found after the launch";
    case Stage::internal: return "a bug of ftlaunch";
  }
  return "";
}

std::string_view meaning_of(RecoveryAction action) {
  switch (action) {
    case RecoveryAction::observe: return "reports and goes on";
    case RecoveryAction::retry: return "restarts from the newest complete state";
    case RecoveryAction::retry_once:
      return "restarts from the newest complete state; the same at the same step again stops the run";
    case RecoveryAction::retry_smaller_micro_batch:
      return "restarts with per_device_train_batch_size halved; stops when it is 1";
    case RecoveryAction::replay_step: return "replays the step once; the same again stops the run";
    case RecoveryAction::previous_checkpoint: return "restarts from an older good checkpoint";
    case RecoveryAction::stop: return "stops";
  }
  return "stops";
}

std::string_view prefix_of(TaxonomyTree tree) { return tree == TaxonomyTree::symptom ? "S:" : "R:"; }

// "Runtime Crash > Memory Issue > RAM OOM"
std::string path_of(TaxonomyTree tree, std::string_view code) {
  std::string path;
  for (std::size_t end = code.find('.');; end = code.find('.', end + 1)) {
    const TaxonomyNode* node = find_node(tree, code.substr(0, end));
    if (node) path += (path.empty() ? "" : " > ") + std::string(node->name);
    if (end == std::string_view::npos) return path;
  }
}

bool is_under(std::string_view code, std::string_view ancestor) {
  return code == ancestor || (code.starts_with(ancestor) && code[ancestor.size()] == '.');
}

std::string related_kinds(const FaultInfo& fault) {
  std::string names;
  for (const FaultInfo& other : fault_table) {
    const bool same_cause = other.root_cause == fault.root_cause && fault.root_cause != "E";
    const bool same_symptom = other.symptom == fault.symptom && other.stage == fault.stage;
    if (other.kind == fault.kind || !(same_cause || same_symptom)) continue;
    names += (names.empty() ? "" : ", ") + std::string(other.name);
  }
  return names.empty() ? "none" : names;
}

std::string explain_kind(const FaultInfo& fault) {
  std::string text = std::string(fault.name) + ": " + std::string(fault.sentence) + "\n";
  text += "  symptom:    S:" + std::string(fault.symptom) + "  " + path_of(TaxonomyTree::symptom, fault.symptom) + "\n";
  text += "  root cause: R:" + std::string(fault.root_cause) + "  " +
          path_of(TaxonomyTree::root_cause, fault.root_cause) + "\n";
  text += "  evidence:   " + std::string(deciding_evidence(fault.kind)) + "\n";
  text += "  stage:      " + std::string(name_of(fault.stage)) + " (" + std::string(meaning_of(fault.stage)) +
          "), exit code " + std::to_string(exit_code(fault.kind)) + "\n";
  text += "  retryable:  " +
          std::string(fault.retryable ? "yes" : "no: the same attempt fails again while nothing has changed") + "\n";
  text += "  action:     " + std::string(name_of(fault.action)) + ": " + std::string(meaning_of(fault.action)) + "\n";
  text += "  fix:        " + std::string(fault.fix) + "\n";
  text += "  related:    " + related_kinds(fault) + "\n";
  return text;
}

std::string explain_code(const TaxonomyNode& node) {
  const bool symptom = node.tree == TaxonomyTree::symptom;
  std::string text = std::string(prefix_of(node.tree)) + std::string(node.code) + ": " + path_of(node.tree, node.code) +
                     (symptom ? " (symptom: what the user sees)\n" : " (root cause: where the fault is)\n");
  for (const TaxonomyNode& leaf : taxonomy_nodes) {
    if (leaf.tree != node.tree || leaf.code == node.code || !is_under(leaf.code, node.code)) continue;
    text += "  " + std::string(prefix_of(leaf.tree)) + std::string(leaf.code) + "  " + std::string(leaf.name) + "\n";
  }
  std::string kinds;
  for (const FaultInfo& fault : fault_table) {
    if (!is_under(symptom ? fault.symptom : fault.root_cause, node.code)) continue;
    kinds += "  " + std::string(fault.name) + ": " + std::string(fault.sentence) + "\n";
  }
  return text + (kinds.empty() ? "no kind of this version has this code\n" : "kinds:\n" + kinds);
}

// Edits (insert, delete, replace one character) that turn one word into the other.
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = std::exchange(row[0], i);
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = std::exchange(row[j], std::min({replaced, row[j] + 1, row[j - 1] + 1}));
    }
  }
  return row.back();
}

std::string nearest_words(std::string_view word) {
  std::vector<std::pair<std::size_t, std::string>> words;
  for (const FaultInfo& fault : fault_table) words.emplace_back(edit_distance(word, fault.name), fault.name);
  for (const TaxonomyNode& node : taxonomy_nodes) {
    const std::string full = std::string(prefix_of(node.tree)) + std::string(node.code);
    words.emplace_back(edit_distance(word, full), full);
  }
  std::stable_sort(words.begin(), words.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  return words[0].second + ", " + words[1].second + ", " + words[2].second;
}

}  // namespace

std::string_view deciding_evidence(FaultKind kind) {
  switch (kind) {
#define EVIDENCE(name, sentence) \
  case FaultKind::name:          \
    return sentence;
#include "failures/deciding_evidence.def"
#undef EVIDENCE
    default: break;
  }
  if (info(kind).stage == Stage::internal) return "an assertion of ftlaunch does not hold; its message is the evidence";
  return "the check that reports it: its message names the place and both numbers";
}

Explanation explain(std::string_view word) {
  word = word.substr(0, 200);  // nothing we know is longer, and the nearest word costs its length
  if (const auto kind = fault_kind_named(word)) return {true, explain_kind(info(*kind))};
  const bool symptom_only = word.starts_with("S:");
  const bool cause_only = word.starts_with("R:");
  const std::string_view code = symptom_only || cause_only ? word.substr(2) : word;
  std::string text;
  for (const TaxonomyTree tree : {TaxonomyTree::symptom, TaxonomyTree::root_cause}) {
    if (tree == TaxonomyTree::symptom ? cause_only : symptom_only) continue;
    if (const TaxonomyNode* node = find_node(tree, code)) text += explain_code(*node);
  }
  if (!text.empty()) return {true, text};
  text = '"';
  text.append(word)
      .append("\" is neither a fault kind nor a code of the taxonomy; nearest: ")
      .append(nearest_words(word))
      .append("\n");
  return {false, text};
}

std::string taxonomy_as_markdown() {
  std::string text =
      "| kind | symptom | root cause | exit | retryable | action | meaning |\n|---|---|---|---|---|---|---|\n";
  for (const FaultInfo& fault : fault_table) {
    text += "| `" + std::string(fault.name) + "` | " + std::string(fault.symptom) + " | " +
            std::string(fault.root_cause) + " | " + std::to_string(exit_code(fault.kind)) + " | " +
            (fault.retryable ? "yes" : "no") + " | " + std::string(name_of(fault.action)) + " | " +
            std::string(fault.sentence) + " |\n";
  }
  return text;
}

}  // namespace ftl
