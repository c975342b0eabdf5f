// The work of import_config: one pass over the keys of the original, then what the tool takes where it is silent.
// foreign_import.cpp has the pass and the writing, foreign_data.cpp what several keys say together.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "configs/config_tree.h"
#include "configs/foreign_import.h"
#include "configs/run_config.h"
#include "configs/schema.h"

namespace ftl {

// One value of the original under its dotted name; `value` points into the tree.
struct ForeignLeaf {
  std::string name, where;
  const ConfigNode* value;
};
// Mappings are opened, lists are not. Names longer than 200 bytes are cut and not opened.
std::vector<ForeignLeaf> leaves_of(const ConfigNode& root);

class ForeignImporter {
 public:
  ForeignImporter(Tool tool, const ForeignFiles& files, std::vector<ForeignLeaf> leaves)
      : tool_(tool), files_(files), leaves_(std::move(leaves)) {}
  ConfigImport run();

 private:
  const ForeignLeaf* leaf(std::string_view name) const;
  void account(const ForeignLeaf& leaf, ImportOutcome outcome, std::string_view key, const std::string& why);
  void leave_out(const ForeignLeaf& leaf, const std::string& why) { account(leaf, ImportOutcome::left_out, "", why); }
  bool is_new(const ForeignLeaf& leaf, std::string_view key);
  // The value becomes `key`'s, or the account says why not.
  void take(const ForeignLeaf& leaf, std::string_view key, const ConfigNode& value, const std::string& why = "");
  void take_text(const ForeignLeaf& leaf, std::string_view key, const std::string& value, const std::string& why);
  void take_foreign(const ForeignLeaf& leaf, const ForeignKey& foreign);
  void take_accumulation(const ForeignLeaf& leaf);

  // What is more than one key for one key; true: the leaf is accounted for.
  bool translate(const ForeignLeaf& leaf);
  bool translate_resume(const ForeignLeaf& leaf);
  bool translate_task(const ForeignLeaf& leaf);
  bool translate_llamafactory(const ForeignLeaf& leaf);
  bool translate_torchtune(const ForeignLeaf& leaf);
  bool translate_torchtune_data(const ForeignLeaf& leaf);
  bool translate_trl(const ForeignLeaf& leaf);
  bool translate_mlx(const ForeignLeaf& leaf);
  void take_betas(const ForeignLeaf& leaf);
  void take_torchtune_targets(const ForeignLeaf& leaf);
  void take_listed_datasets(const ForeignLeaf& list);
  void take_listed_dataset(const std::string& prefix, const ConfigNode& item);
  void take_dataset_key(DatasetConfig& dataset, const ForeignLeaf& leaf, const std::string& key);
  void take_named_datasets(const ForeignLeaf& leaf);
  DatasetConfig named_dataset(const std::string& name);
  void finish_datasets();

  void add(std::string_view key, const std::string& value, const std::string& why);
  void add_defaults();
  void settle_exclusions();
  void withdraw(std::string_view key, const std::string& why);
  void find_missing();
  std::string written() const;
  std::string written_datasets() const;

  Tool tool_;
  const ForeignFiles& files_;
  std::vector<ForeignLeaf> leaves_;
  RunConfig config_;
  std::map<std::string, std::string, std::less<>> attempted_;  // key -> the name that set it, or was to
  std::map<std::string, std::string, std::less<>> comments_;   // of keys that are written
  std::optional<std::int64_t> accumulation_;
  std::vector<std::string> wrong_data_;  // why a data set cannot be trained on
  ConfigImport result_;
};

}  // namespace ftl
