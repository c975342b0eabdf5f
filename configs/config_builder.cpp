#include "configs/config_builder.h"

#include <algorithm>

#include <fmt/format.h>

#include "configs/config_values.h"

namespace ftl {
namespace {

bool is_section(const std::string& name) {
  const std::string section = fmt::format("{}.", name);
  return std::ranges::any_of(config_keys(), [&](const auto& key) { return key.name.starts_with(section); });
}

ConfigNode scalar(const std::string& text, const std::string& where) {
  ConfigNode node;
  node.shape = ConfigNode::Shape::scalar;
  node.text = text;
  node.where = where;
  return node;
}

}  // namespace

bool is_off(const ConfigNode& value) {
  constexpr std::string_view words[] = {"", "false", "False", "FALSE", "0", "0.0", "no", "none", "None", "off"};
  if (value.shape == ConfigNode::Shape::scalar) return std::ranges::find(words, value.text) != std::end(words);
  return value.children.empty();
}

std::optional<std::string> asked_for(const ForeignKey& foreign, const ConfigNode& value) {
  const std::size_t bar = foreign.say.find('|');
  const std::string yes(foreign.say.substr(0, bar));
  const std::string no(bar == std::string_view::npos ? "" : foreign.say.substr(bar + 1));
  const std::optional<bool> truth = truth_of(value);
  if (truth) return *truth ? yes : no;
  if (value.shape != ConfigNode::Shape::scalar) return std::nullopt;
  if (value.text == "auto") return "";
  return value.text == "full" ? std::optional(yes) : std::nullopt;  // `bf16: full`
}

void ConfigBuilder::note(const std::string& text) {
  if (std::ranges::find(notes, text) == notes.end()) notes.push_back(text);
}

void ConfigBuilder::refuse(FaultKind kind, const std::string& what, const std::string& where, const std::string& fix) {
  failures.push_back({kind, what, where, fix});
}

void ConfigBuilder::read(const ConfigNode& root, const std::string& where) {
  given_.clear();
  if (root.shape == ConfigNode::Shape::null) return;
  if (root.shape != ConfigNode::Shape::mapping) {
    return refuse(FaultKind::config_invalid_value,
                  fmt::format("the configuration is {}: a mapping of keys is wanted", shown(root)),
                  root.where.empty() ? where : root.where);
  }
  read_mapping(root, "");
}

void ConfigBuilder::override_with(const std::string& text) {
  const std::size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0) {
    return refuse(FaultKind::usage_error, fmt::format("--set {}: key=value is wanted", shown(text)), "--set",
                  "write --set key.sub=value");
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

void ConfigBuilder::override_with_text(const std::string& key, const std::string& text) {
  ConfigNode node = scalar(text, fmt::format("--{}", key));
  node.quoted = true;
  given_.clear();
  set_named(key, node.where, node);
}

void ConfigBuilder::read_mapping(const ConfigNode& mapping, const std::string& prefix) {
  for (std::size_t i = 0; i < mapping.keys.size(); ++i)
    set_named(fmt::format("{}{}", prefix, mapping.keys[i]), mapping.key_places[i], mapping.children[i]);
}

void ConfigBuilder::set_named(const std::string& name, const std::string& where, const ConfigNode& value) {
  if (const Key* key = config_key(name)) return set(*key, name, where, value);
  if (name.starts_with("datasets.") && set_dataset_override(name.substr(9), where, value)) return;
  if (value.shape == ConfigNode::Shape::mapping && (is_section(name) || is_foreign_section(name)))
    return read_mapping(value, fmt::format("{}.", name));
  if (const ForeignKey* foreign = foreign_key(name)) return set_foreign(*foreign, name, where, value);
  if (is_section(name) || is_foreign_section(name)) return set_section(name, value);
  unknown(name, where);
}

void ConfigBuilder::set_section(const std::string& name, const ConfigNode& value) {
  if (value.shape == ConfigNode::Shape::null) return;
  refuse(FaultKind::config_invalid_value, fmt::format("{} is {}: a mapping is wanted", name, shown(value)),
         value.where);
}

bool ConfigBuilder::claim(const std::string& key, const std::string& name, const std::string& where) {
  const auto [before, is_new] = given_.emplace(key, Given{name, where});
  if (!is_new) {
    refuse(
        FaultKind::config_invalid_value,
        fmt::format("{} is given twice, as {} at {} and as {}", key, before->second.name, before->second.where, name),
        where, "remove one of the two");
  }
  return is_new;
}

void ConfigBuilder::set(const Key& key, const std::string& name, const std::string& where, const ConfigNode& value) {
  const std::string canonical(key.name);
  if (!claim(canonical, name, where)) return;
  if (value.shape == ConfigNode::Shape::null) return;  // nothing written: the default
  places_[canonical] = value.where;
  const Place place = key.place(&config);
  if (auto* const* datasets = std::get_if<std::vector<DatasetConfig>*>(&place)) return set_datasets(**datasets, value);
  if (std::optional<Failure> failure = assign_key(key, name, config, value)) failures.push_back(std::move(*failure));
}

void ConfigBuilder::set_foreign(const ForeignKey& foreign, const std::string& name, const std::string& where,
                                const ConfigNode& value) {
  if (value.shape == ConfigNode::Shape::null) return;  // nothing written
  if (foreign.names_a_key() && foreign.meaning != ForeignMeaning::steps)
    note(fmt::format("{} is read as {}", name, foreign.key));
  const auto truth_wanted = [&] {
    refuse(FaultKind::config_invalid_value, fmt::format("{} is {}: true or false is wanted", name, shown(value)),
           value.where);
  };
  switch (foreign.meaning) {
    case ForeignMeaning::same: return set(*config_key(foreign.key), name, where, value);
    case ForeignMeaning::steps: return set_accumulation(name, where, value);
    case ForeignMeaning::inverse: {
      const std::optional<bool> truth = truth_of(value);
      if (!truth) return truth_wanted();
      return set(*config_key(foreign.key), name, where, scalar(*truth ? "false" : "true", value.where));
    }
    case ForeignMeaning::sets: {
      const std::optional<std::string> wanted = asked_for(foreign, value);
      if (!wanted) return truth_wanted();
      if (wanted->empty()) return;
      return set(*config_key(foreign.key), name, where, scalar(*wanted, value.where));
    }
    case ForeignMeaning::later:
      if (is_off(value)) return note(fmt::format("{} is off, as ftlaunch has it", name));
      return refuse_foreign(foreign, name, where);
    case ForeignMeaning::instead:
    case ForeignMeaning::needless: return refuse_foreign(foreign, name, where);
  }
}

void ConfigBuilder::refuse_foreign(const ForeignKey& foreign, const std::string& name, const std::string& where) {
  const std::string tools = tools_of(foreign), say(foreign.say);
  const std::string whose = tools.empty() ? shown(name) : fmt::format("{} is a key of {}", shown(name), tools);
  const bool is_advice = say.starts_with("use ");
  const std::string fix = is_advice ? say : say.empty() ? "remove it" : fmt::format("remove it: {}", say);
  if (foreign.meaning == ForeignMeaning::later)
    refuse(FaultKind::not_in_this_version,
           fmt::format("{}{} is not in this version", whose, tools.empty() ? "" : ": it"), where, fix);
  else if (foreign.meaning == ForeignMeaning::needless)
    refuse(FaultKind::config_unknown_key, fmt::format("{}, and ftlaunch needs no such setting", whose), where, fix);
  else
    refuse(FaultKind::config_unknown_key, fmt::format("{}, and ftlaunch has another way", whose), where,
           is_advice ? say : fmt::format("remove it: {}", say));
}

void ConfigBuilder::set_accumulation(const std::string& name, const std::string& where, const ConfigNode& value) {
  constexpr const char* usual = "gradient_accumulation_steps";
  if (name != usual) note(fmt::format("{} is read as {}", name, usual));
  if (!claim(usual, name, where)) return;
  accumulation_.reset();
  std::int64_t steps = 0;
  const std::vector<Choice> none;
  if (std::optional<Failure> failure = assign({name, 1, 1 << 24, false, {}, &none}, &steps, value))
    failures.push_back(std::move(*failure));
  else
    accumulation_ = steps;
}

void ConfigBuilder::set_datasets(std::vector<DatasetConfig>& into, const ConfigNode& value) {
  if (value.shape != ConfigNode::Shape::list) {
    return refuse(FaultKind::config_invalid_value,
                  fmt::format("datasets is {}: a list of mappings is wanted", shown(value)), value.where,
                  "write datasets: [{path: data.jsonl, type: alpaca}]");
  }
  into.clear();
  for (const ConfigNode& item : value.children) {
    DatasetConfig& dataset = into.emplace_back();
    if (item.shape != ConfigNode::Shape::mapping) {
      refuse(FaultKind::config_invalid_value, fmt::format("a data set is {}: a mapping is wanted", shown(item)),
             item.where, "write {path: data.jsonl, type: alpaca}");
      dataset.path.assign(1, '?');  // one complaint is enough
      continue;
    }
    std::map<std::string, Given> given;
    std::swap(given, given_);
    for (std::size_t i = 0; i < item.keys.size(); ++i)
      set_in_dataset(dataset, into.size() - 1, item.keys[i], item.key_places[i], item.children[i]);
    std::swap(given, given_);
  }
}

void ConfigBuilder::set_in_dataset(DatasetConfig& dataset, std::size_t index, const std::string& name,
                                   const std::string& where, const ConfigNode& value) {
  const ForeignKey* foreign = foreign_key(fmt::format("datasets[].{}", name));
  const bool is_alias = foreign != nullptr && foreign->meaning == ForeignMeaning::same;
  if (is_alias) note(fmt::format("{} of a data set is read as {}", name, foreign->key));
  const std::string wanted = is_alias ? std::string(foreign->key) : name;
  std::vector<std::string_view> names;
  for (const Key& key : dataset_keys()) {
    names.push_back(key.name);
    if (key.name != wanted) continue;
    if (!claim(fmt::format("datasets[{}].{}", index, wanted), name, where)) return;
    if (value.shape == ConfigNode::Shape::null) return;
    Demand demand = demand_of(key);
    demand.name = fmt::format("datasets[{}].{}", index, name);
    if (std::optional<Failure> failure = assign(demand, key.place(&dataset), value))
      failures.push_back(std::move(*failure));
    return;
  }
  if (foreign != nullptr && !is_alias) return set_foreign(*foreign, name, where, value);
  complain_unknown(name, where, nearest_name(name, names), "of a data set");
}

// --set datasets.0.max_samples=10
bool ConfigBuilder::set_dataset_override(const std::string& rest, const std::string& where, const ConfigNode& value) {
  const std::size_t dot = rest.find('.');
  if (dot == std::string::npos || dot == 0 || dot > 4 || rest.find_first_not_of("0123456789") != dot) return false;
  const std::size_t index = std::stoul(rest.substr(0, dot));
  if (index >= config.datasets.size()) {
    refuse(
        FaultKind::config_invalid_value,
        fmt::format("datasets has {} entries, there is no number {} (the first is 0)", config.datasets.size(), index),
        where);
    return true;
  }
  set_in_dataset(config.datasets[index], index, rest.substr(dot + 1), where, value);
  return true;
}

void ConfigBuilder::unknown(const std::string& name, const std::string& where) {
  std::vector<std::string_view> names;
  for (const Key& key : config_keys()) {
    names.push_back(key.name);
    if (const std::size_t dot = key.name.find('.'); dot != std::string_view::npos)
      names.push_back(key.name.substr(0, dot));
  }
  for (const ForeignKey& key : foreign_keys()) {
    if (key.names_a_key()) names.push_back(key.name);
  }
  complain_unknown(name, where, nearest_name(name, names), "of a configuration");
}

void ConfigBuilder::complain_unknown(const std::string& name, const std::string& where, const std::string& nearest,
                                     const char* of_what) {
  refuse(FaultKind::config_unknown_key,
         fmt::format("{} is no key {}{}", shown(name), of_what,
                     nearest.empty() ? std::string() : fmt::format("; the nearest is {}", nearest)),
         where, nearest.empty() ? "remove it; docs/config.md lists all keys" : fmt::format("write {}", nearest));
}

}  // namespace ftl
