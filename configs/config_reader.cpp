#include "configs/config_reader.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <map>
#include <optional>

#include <fmt/format.h>

#include "configs/config_tree.h"
#include "configs/config_values.h"
#include "configs/named_path.h"
#include "configs/schema.h"

namespace ftl {
namespace {

// Reads one mapping after another into the same configuration: the file, then each override.
class ConfigBuilder {
 public:
  RunConfig config;
  std::vector<Failure> failures;
  std::vector<std::string> notes;

  void read(const ConfigNode& root, const std::string& where) {
    given_.clear();
    if (root.shape == ConfigNode::Shape::null) return;
    if (root.shape != ConfigNode::Shape::mapping) {
      failures.push_back({FaultKind::config_invalid_value,
                          fmt::format("the configuration is {}: a mapping of keys is wanted", shown(root)),
                          root.where.empty() ? where : root.where, ""});
      return;
    }
    read_mapping(root, "");
  }

  void override_with(const std::string& text) {
    const std::size_t equals = text.find('=');
    if (equals == std::string::npos || equals == 0) {
      failures.push_back({FaultKind::usage_error, fmt::format("--set {}: key=value is wanted", shown(text)), "--set",
                          "write --set key.sub=value"});
      return;
    }
    const std::string name = text.substr(0, equals), where = fmt::format("--set {}", name);
    Result<ConfigNode> value = parse_yaml(text.substr(equals + 1), where, false);
    if (!value) {
      failures.push_back(value.error());
      return;
    }
    given_.clear();
    set_named(name, where, *value);
  }

  void override_with_text(const std::string& key, const std::string& text) {
    ConfigNode node;
    node.shape = ConfigNode::Shape::scalar;
    node.text = text;
    node.quoted = true;
    node.where = fmt::format("--{}", key);
    given_.clear();
    set_named(key, node.where, node);
  }

  // Rules between keys. Ranks get a configuration that has passed them.
  void judge_whole() {
    judge_world();
    require(!config.model_name_or_path.empty(), "model_name_or_path", "name the directory of the base model");
    require(!config.datasets.empty(), "datasets",
            "name at least one data set: datasets: [{path: data.jsonl, type: alpaca}]");
    for (std::size_t i = 0; i < config.datasets.size(); ++i)
      require(!config.datasets[i].path.empty(), fmt::format("datasets[{}].path", i), "name the data set's file");
    require(!config.output_dir.empty(), "output_dir", "name the run directory");
    if (config.warmup_steps > 0 && config.warmup_ratio > 0) {
      failures.push_back({FaultKind::config_invalid_value,
                          fmt::format("warmup_steps is {} and warmup_ratio is {}: only one of the two may be given",
                                      config.warmup_steps, config.warmup_ratio),
                          place_of("warmup_steps"), "remove one of the two"});
    }
    if (config.val_set_size >= 1 && config.val_set_size != std::floor(config.val_set_size)) {
      failures.push_back({FaultKind::config_invalid_value,
                          fmt::format("val_set_size is {}: below 1 it is a share, from 1 on a whole number of examples",
                                      config.val_set_size),
                          place_of("val_set_size"), ""});
    }
    if (failures.empty()) derive_global_batch();
    if (config.max_steps > 0 && seen("num_train_epochs"))
      notes.push_back(
          fmt::format("max_steps {} overrides num_train_epochs {}", config.max_steps, config.num_train_epochs));
    if (config.eval_steps > 0 && config.val_set_size == 0)
      notes.push_back("eval_steps has no effect: val_set_size is 0, so there is nothing to evaluate on");
  }

  void judge_world() {
    constexpr std::int64_t most_ranks = 1 << 20;
    const std::int64_t ranks = std::int64_t{config.nodes} * std::max(1, config.ranks_per_node);
    if (ranks <= most_ranks) return;
    failures.push_back({FaultKind::config_invalid_value,
                        fmt::format("nodes {} x ranks_per_node {} are {} ranks: at most {} are possible", config.nodes,
                                    config.ranks_per_node, ranks, most_ranks),
                        place_of("ranks_per_node"), "lower one of the two"});
  }

 private:
  bool seen(const std::string& key) const { return places_.count(key) > 0; }
  std::string place_of(const std::string& key) const { return seen(key) ? places_.at(key) : std::string(); }

  void require(bool there, const std::string& key, const std::string& fix) {
    if (!there)
      failures.push_back(
          {FaultKind::config_missing_key, fmt::format("{} is missing or empty", key), place_of(key), fix});
  }

  void read_mapping(const ConfigNode& mapping, const std::string& prefix) {
    for (std::size_t i = 0; i < mapping.keys.size(); ++i)
      set_named(fmt::format("{}{}", prefix, mapping.keys[i]), mapping.key_places[i], mapping.children[i]);
  }

  void set_named(const std::string& name, const std::string& where, const ConfigNode& value) {
    for (const Key& key : config_keys()) {
      const bool is_alias = std::find(key.aliases.begin(), key.aliases.end(), name) != key.aliases.end();
      if (key.name != name && !is_alias) continue;
      if (is_alias) notes.push_back(fmt::format("{} is read as {}", name, key.name));
      set(key, name, where, value);
      return;
    }
    if (set_special(name, where, value)) return;
    if (is_section(name)) {
      if (value.shape == ConfigNode::Shape::mapping) return read_mapping(value, fmt::format("{}.", name));
      if (value.shape == ConfigNode::Shape::null) return;
      failures.push_back({FaultKind::config_invalid_value,
                          fmt::format("{} is {}: a mapping is wanted", name, shown(value)), value.where, ""});
      return;
    }
    unknown(name, where);
  }

  static bool is_section(const std::string& name) {
    const std::string section = fmt::format("{}.", name);
    return std::any_of(config_keys().begin(), config_keys().end(),
                       [&](const auto& key) { return key.name.starts_with(section); });
  }

  void set(const Key& key, const std::string& name, const std::string& where, const ConfigNode& value) {
    const std::string canonical(key.name);
    if (const auto [before, is_new] = given_.emplace(canonical, name); !is_new) {
      failures.push_back({FaultKind::config_invalid_value,
                          fmt::format("{} is given twice, as {} and as {}", canonical, before->second, name), where,
                          "remove one of the two"});
      return;
    }
    if (value.shape == ConfigNode::Shape::null) return;  // nothing written: the default
    places_[canonical] = value.where;
    const Place place = key.place(&config);
    if (auto* const* datasets = std::get_if<std::vector<DatasetConfig>*>(&place))
      return set_datasets(**datasets, value);
    if (canonical == "resume_from_checkpoint" && !value.quoted && (value.text == "true" || value.text == "false")) {
      config.resume = std::string(value.text == "true" ? "auto" : "never");
      return;
    }
    RunConfig defaults;
    const Place usual = key.place(&defaults);
    if (std::optional<Failure> failure = assign(demand_of(key), place, value)) {
      failures.push_back(std::move(*failure));
    } else if (key.only_default && !same_value(place, usual)) {
      failures.push_back({FaultKind::not_in_this_version,
                          fmt::format("{}: {} is not in this version", canonical, value.text), value.where,
                          fmt::format("remove {}", name)});
    }
  }

  static bool same_value(const Place& a, const Place& b) {
    return std::visit([&](auto* left) { return *left == **std::get_if<decltype(left)>(&b); }, a);
  }

  void set_datasets(std::vector<DatasetConfig>& into, const ConfigNode& value) {
    if (value.shape != ConfigNode::Shape::list) {
      failures.push_back({FaultKind::config_invalid_value,
                          fmt::format("datasets is {}: a list of mappings is wanted", shown(value)), value.where,
                          "write datasets: [{path: data.jsonl, type: alpaca}]"});
      return;
    }
    into.clear();
    for (const ConfigNode& item : value.children) {
      DatasetConfig& dataset = into.emplace_back();
      if (item.shape != ConfigNode::Shape::mapping) {
        failures.push_back({FaultKind::config_invalid_value,
                            fmt::format("a data set is {}: a mapping is wanted", shown(item)), item.where,
                            "write {path: data.jsonl, type: alpaca}"});
        dataset.path.assign(1, '?');  // one complaint is enough
        continue;
      }
      for (std::size_t i = 0; i < item.keys.size(); ++i)
        set_in_dataset(dataset, into.size() - 1, item.keys[i], item.key_places[i], item.children[i]);
    }
  }

  void set_in_dataset(DatasetConfig& dataset, std::size_t index, const std::string& name, const std::string& where,
                      const ConfigNode& value) {
    std::vector<std::string_view> names;
    for (const Key& key : dataset_keys()) {
      names.push_back(key.name);
      if (key.name != name) continue;
      if (value.shape == ConfigNode::Shape::null) return;
      Demand demand = demand_of(key);
      demand.name = fmt::format("datasets[{}].{}", index, name);
      if (std::optional<Failure> failure = assign(demand, key.place(&dataset), value))
        failures.push_back(std::move(*failure));
      return;
    }
    complain_unknown(name, where, nearest_name(name, names), "of a data set");
  }

  // Keys that are not simply another name for one of ours.
  bool set_special(const std::string& name, const std::string& where, const ConfigNode& value) {
    if (name == "gradient_accumulation_steps") {
      accumulation_.reset();
      std::int64_t steps = 0;
      const std::vector<Choice> none;
      if (std::optional<Failure> failure = assign({name, 1, 1 << 24, false, {}, &none}, &steps, value))
        failures.push_back(std::move(*failure));
      else
        accumulation_ = steps;
      return true;
    }
    if (name == "lora_target_linear") {
      bool wanted = false;
      const std::vector<Choice> none;
      if (std::optional<Failure> failure = assign({name, 0, 1, false, {}, &none}, &wanted, value))
        failures.push_back(std::move(*failure));
      else if (wanted)
        config.lora_target = {"all"};
      notes.push_back("lora_target_linear is read as lora_target");
      return true;
    }
    if (name.starts_with("datasets.")) return set_dataset_override(name.substr(9), where, value);
    return false;
  }

  // --set datasets.0.max_samples=10
  bool set_dataset_override(const std::string& rest, const std::string& where, const ConfigNode& value) {
    const std::size_t dot = rest.find('.');
    if (dot == std::string::npos || dot == 0 || dot > 4 || rest.find_first_not_of("0123456789") != dot) return false;
    const std::size_t index = std::stoul(rest.substr(0, dot));
    if (index >= config.datasets.size()) {
      failures.push_back({FaultKind::config_invalid_value,
                          fmt::format("datasets has {} entries, there is no number {} (the first is 0)",
                                      config.datasets.size(), index),
                          where, ""});
      return true;
    }
    set_in_dataset(config.datasets[index], index, rest.substr(dot + 1), where, value);
    return true;
  }

  void derive_global_batch() {
    if (!accumulation_) return;
    if (seen("global_batch_size")) {
      notes.push_back(
          "gradient_accumulation_steps is ignored: global_batch_size is given, accumulation follows from it");
      return;
    }
    // Two factors of at most 2^24 each; the world's 2^20 on top would not fit into 64 bits.
    const std::int64_t of_a_rank = std::int64_t{config.per_device_train_batch_size} * *accumulation_;
    constexpr std::int64_t most = 1 << 24;
    if (of_a_rank > most / config.world_size()) {
      failures.push_back(
          {FaultKind::config_invalid_value,
           fmt::format("gradient_accumulation_steps {} makes a global batch of {} x {} x {} sequences, "
                       "at most {} are possible",
                       *accumulation_, config.per_device_train_batch_size, *accumulation_, config.world_size(), most),
           "", "set global_batch_size"});
      return;
    }
    const std::int64_t derived = of_a_rank * config.world_size();
    config.global_batch_size = static_cast<int>(derived);
    notes.push_back(
        fmt::format("global_batch_size is {}: {} sequences a rank x {} accumulation steps x {} ranks; it is kept when "
                    "the number of ranks changes",
                    derived, config.per_device_train_batch_size, *accumulation_, config.world_size()));
  }

  void unknown(const std::string& name, const std::string& where) {
    if (std::find(later_keys().begin(), later_keys().end(), name) != later_keys().end()) {
      failures.push_back({FaultKind::not_in_this_version, fmt::format("{} is not in this version", name), where,
                          fmt::format("remove {}", name)});
      return;
    }
    std::vector<std::string_view> names;
    for (const Key& key : config_keys()) {
      names.push_back(key.name);
      if (const std::size_t dot = key.name.find('.'); dot != std::string_view::npos)
        names.push_back(key.name.substr(0, dot));
      names.insert(names.end(), key.aliases.begin(), key.aliases.end());
    }
    complain_unknown(name, where, nearest_name(name, names), "of a configuration");
  }

  void complain_unknown(const std::string& name, const std::string& where, const std::string& nearest,
                        const char* of_what) {
    failures.push_back(
        {FaultKind::config_unknown_key,
         fmt::format("{} is no key {}{}", shown(name), of_what,
                     nearest.empty() ? std::string() : fmt::format("; the nearest is {}", nearest)),
         where, nearest.empty() ? "remove it; configs/README.md lists all keys" : fmt::format("write {}", nearest)});
  }

  std::map<std::string, std::string> given_;   // in the mapping being read: key -> the name it was given by
  std::map<std::string, std::string> places_;  // key -> where it was last given
  std::optional<std::int64_t> accumulation_;
};

Result<std::string> text_of(const std::string& path) {
  if (auto failure = why_not_a_file(path)) return *failure;
  std::ifstream file(path, std::ios::binary);
  std::string text(largest_config + 1, '\0');  // one more than allowed: then it is seen to be too long
  if (!file.read(text.data(), static_cast<std::streamsize>(text.size())) && !file.eof()) {
    return Failure{FaultKind::file_not_found, "the configuration file cannot be read", path, ""};
  }
  text.resize(static_cast<std::size_t>(file.gcount()));
  return text;
}

}  // namespace

Result<ReadConfig> read_config(const ConfigSource& source, std::vector<Failure>* all) {
  ConfigBuilder builder;
  const Result<std::string> text = text_of(source.path);
  const Result<ConfigNode> tree = text ? parse_yaml(*text, source.path) : Result<ConfigNode>(text.error());
  if (!tree)
    builder.failures.push_back(tree.error());
  else {
    builder.read(*tree, source.path);
    for (const std::string& override_text : source.overrides) builder.override_with(override_text);
    for (const auto& [key, value] : source.texts) builder.override_with_text(key, value);
    // A key that could not be read is not also missing.
    if (builder.failures.empty()) builder.judge_whole();
    for (Failure& failure : builder.failures) {
      if (failure.where.empty()) failure.where = source.path;
    }
  }
  if (all != nullptr) *all = builder.failures;
  if (!builder.failures.empty()) return builder.failures.front();
  return ReadConfig{std::move(builder.config), std::move(builder.notes)};
}

Result<RunConfig> config_from_json(const std::string& json) {
  const Result<ConfigNode> tree = parse_json(json, "configuration in JSON");
  if (!tree) return tree.error();
  ConfigBuilder builder;
  builder.read(*tree, "configuration in JSON");
  builder.judge_world();
  if (!builder.failures.empty()) return builder.failures.front();
  return std::move(builder.config);
}

}  // namespace ftl
