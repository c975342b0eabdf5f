// Reads one mapping after another into the same configuration: the file, then each override. Other tools' names are
// resolved here (foreign_keys.h); what is wrong is collected, not thrown.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "configs/config_tree.h"
#include "configs/foreign_keys.h"
#include "configs/schema.h"

namespace ftl {

class ConfigBuilder {
 public:
  RunConfig config;
  std::vector<Failure> failures;
  std::vector<std::string> notes;  // each once

  // `where` is the place of a tree that has none, an empty file's.
  void read(const ConfigNode& root, const std::string& where);
  void override_with(const std::string& text);  // "key.sub=value", the value in YAML
  void override_with_text(const std::string& key, const std::string& text);

  // Rules between keys (config_rules.cpp). Ranks get a configuration that has passed them.
  void judge_whole();
  void judge_world();

 private:
  struct Given {
    std::string name;  // as it was written
    std::string where;
  };

  bool seen(const std::string& key) const { return places_.count(key) > 0; }
  std::string place_of(const std::string& key) const { return seen(key) ? places_.at(key) : std::string(); }
  void note(const std::string& text);
  void refuse(FaultKind kind, const std::string& what, const std::string& where, const std::string& fix = "");

  void read_mapping(const ConfigNode& mapping, const std::string& prefix);
  void set_named(const std::string& name, const std::string& where, const ConfigNode& value);
  bool claim(const std::string& key, const std::string& name, const std::string& where);
  void set(const Key& key, const std::string& name, const std::string& where, const ConfigNode& value);
  void set_section(const std::string& name, const ConfigNode& value);
  void set_foreign(const ForeignKey& foreign, const std::string& name, const std::string& where,
                   const ConfigNode& value);
  void refuse_foreign(const ForeignKey& foreign, const std::string& name, const std::string& where);
  void set_accumulation(const std::string& name, const std::string& where, const ConfigNode& value);
  void set_datasets(std::vector<DatasetConfig>& into, const ConfigNode& value);
  void set_in_dataset(DatasetConfig& dataset, std::size_t index, const std::string& name, const std::string& where,
                      const ConfigNode& value);
  bool set_dataset_override(const std::string& rest, const std::string& where, const ConfigNode& value);
  void unknown(const std::string& name, const std::string& where);
  void complain_unknown(const std::string& name, const std::string& where, const std::string& nearest,
                        const char* of_what);

  void require(bool there, const std::string& key, const std::string& fix);
  void judge_exclusions();
  void judge_adapter();
  void derive_global_batch();

  std::map<std::string, Given> given_;         // by key, in the mapping being read
  std::map<std::string, std::string> places_;  // key -> where it was last given
  std::optional<std::int64_t> accumulation_;
};

// Whether a value asks for nothing: absent, false, 0, none, off, empty.
bool is_off(const ConfigNode& value);
// What a `sets` key asks for: the text before or after the | of `foreign.say`; empty: nothing. nullopt: `value` is
// neither a truth nor a word like it.
std::optional<std::string> asked_for(const ForeignKey& foreign, const ConfigNode& value);

}  // namespace ftl
