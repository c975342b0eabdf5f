#include "configs/foreign_import.h"

#include <algorithm>
#include <array>
#include <utility>

#include <fmt/format.h>

#include "configs/config_builder.h"
#include "configs/config_values.h"
#include "configs/foreign_importer.h"

namespace ftl {
namespace {

constexpr std::size_t longest_name = 200;
constexpr std::size_t most_comments = 1000;

std::string cut_name(const std::string& name) {
  std::size_t length = std::min(name.size(), longest_name);
  while (length > 0 && length < name.size() && (static_cast<unsigned char>(name[length]) & 0xc0) == 0x80) --length;
  return name.substr(0, length);
}

void open_mapping(const ConfigNode& mapping, const std::string& prefix, std::vector<ForeignLeaf>& leaves) {
  for (std::size_t i = 0; i < mapping.keys.size(); ++i) {
    const std::string name = cut_name(prefix + mapping.keys[i]);
    const ConfigNode& value = mapping.children[i];
    if (value.shape == ConfigNode::Shape::mapping && !value.keys.empty() && name.size() < longest_name)
      open_mapping(value, name + ".", leaves);
    else
      leaves.push_back({name, mapping.key_places[i], &value});
  }
}

// One line of a comment, without what would end it.
std::string commented(const std::string& text) {
  const std::string quoted = shown(text);
  return quoted.substr(1, quoted.size() - 2);
}

std::string in_one_line(std::string text) {
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
  }
  return text;
}

std::string short_form(const ConfigNode& value) {
  if (value.shape == ConfigNode::Shape::scalar) return commented(value.text);
  if (value.shape == ConfigNode::Shape::null) return "";
  std::string text = value.shape == ConfigNode::Shape::list ? "[" : "{";
  for (std::size_t i = 0; i < value.children.size() && text.size() < 60; ++i) {
    const ConfigNode& child = value.children[i];
    text += (i == 0 ? "" : ", ") + (child.shape == ConfigNode::Shape::scalar ? commented(child.text) : "...");
  }
  return text + (value.shape == ConfigNode::Shape::list ? "]" : "}");
}

}  // namespace

std::string_view name_of(ImportOutcome outcome) {
  switch (outcome) {
    case ImportOutcome::taken: return "taken";
    case ImportOutcome::left_out: return "left_out";
    case ImportOutcome::nothing_set: return "nothing_set";
  }
  return "?";
}

std::vector<ForeignLeaf> leaves_of(const ConfigNode& root) {
  std::vector<ForeignLeaf> leaves;
  open_mapping(root, "", leaves);
  return leaves;
}

const ForeignLeaf* ForeignImporter::leaf(std::string_view name) const {
  const auto found = std::ranges::find(leaves_, name, &ForeignLeaf::name);
  return found == leaves_.end() || found->value->shape == ConfigNode::Shape::null ? nullptr : &*found;
}

void ForeignImporter::account(const ForeignLeaf& leaf, ImportOutcome outcome, std::string_view key,
                              const std::string& why) {
  result_.account.push_back({leaf.name, leaf.where, short_form(*leaf.value), outcome, std::string(key), why});
}

bool ForeignImporter::is_new(const ForeignLeaf& leaf, std::string_view key) {
  const auto [before, is_new] = attempted_.emplace(key, leaf.name);
  if (!is_new) leave_out(leaf, fmt::format("{} has set {} already", before->second, key));
  return is_new;
}

void ForeignImporter::take(const ForeignLeaf& leaf, std::string_view key, const ConfigNode& value,
                           const std::string& why) {
  if (!is_new(leaf, key)) return;
  RunConfig changed = config_;
  const Key& ours = *config_key(key);
  if (const std::optional<Failure> failure = assign_key(ours, leaf.name, changed, value)) {
    return leave_out(leaf, fmt::format("{}; {} stays {}", failure->what, key, yaml_of(ours.place(&config_))));
  }
  config_ = std::move(changed);
  const bool is_text = std::holds_alternative<std::string*>(ours.place(&config_));
  const std::string canonical = is_text ? *std::get<std::string*>(ours.place(&config_)) : value.text;
  std::string comment = leaf.name == key && canonical == value.text ? "" : fmt::format("from {}", commented(leaf.name));
  if (canonical != value.text) comment += ": " + short_form(*leaf.value);
  if (!why.empty()) comment += (comment.empty() ? "" : ": ") + why;
  comments_[std::string(key)] = in_one_line(comment);
  account(leaf, ImportOutcome::taken, key, why);
}

void ForeignImporter::take_text(const ForeignLeaf& leaf, std::string_view key, const std::string& value,
                                const std::string& why) {
  ConfigNode node;
  node.shape = ConfigNode::Shape::scalar;
  node.text = value;
  node.where = leaf.where;
  take(leaf, key, node, why);
}

void ForeignImporter::take_accumulation(const ForeignLeaf& leaf) {
  if (!is_new(leaf, "gradient_accumulation_steps")) return;
  std::int64_t steps = 0;
  const std::vector<Choice> none;
  if (const auto failure = assign({leaf.name, 1, 1 << 24, false, {}, &none}, &steps, *leaf.value))
    return leave_out(leaf, failure->what);
  accumulation_ = steps;
  account(leaf, ImportOutcome::taken, "gradient_accumulation_steps", "global_batch_size follows from it");
}

void ForeignImporter::take_foreign(const ForeignLeaf& leaf, const ForeignKey& foreign) {
  const ConfigNode& value = *leaf.value;
  const std::string say(foreign.say);
  switch (foreign.meaning) {
    case ForeignMeaning::same: return take(leaf, foreign.key, value);
    case ForeignMeaning::steps: return take_accumulation(leaf);
    case ForeignMeaning::inverse: {
      const std::optional<bool> truth = truth_of(value);
      if (!truth) return leave_out(leaf, "true or false is wanted");
      return take_text(leaf, foreign.key, *truth ? "false" : "true", "the other way round");
    }
    case ForeignMeaning::sets: {
      const std::optional<std::string> wanted = asked_for(foreign, value);
      if (!wanted) return leave_out(leaf, "true or false is wanted");
      if (wanted->empty()) return account(leaf, ImportOutcome::nothing_set, foreign.key, "it asks for nothing");
      return take_text(leaf, foreign.key, *wanted, "");
    }
    case ForeignMeaning::later:
      if (is_off(value)) return account(leaf, ImportOutcome::nothing_set, "", "off, as ftlaunch has it");
      return leave_out(leaf, fmt::format("not in this version{}{}", say.empty() ? "" : ": ", say));
    case ForeignMeaning::instead: return leave_out(leaf, say);
    case ForeignMeaning::needless: return leave_out(leaf, fmt::format("not needed{}{}", say.empty() ? "" : ": ", say));
  }
}

void ForeignImporter::add(std::string_view key, const std::string& value, const std::string& why) {
  if (!attempted_.emplace(key, "").second) return;
  const Result<ConfigNode> node = parse_yaml(value, "default", false);
  if (!node || assign_key(*config_key(key), std::string(key), config_, *node)) return;
  comments_[std::string(key)] = why;
  result_.added.push_back({std::string(key), yaml_of(config_key(key)->place(&config_)), why});
}

void ForeignImporter::add_defaults() {
  const std::string_view tool = name_of(tool_);
  const bool ranked = attempted_.contains("lora_rank");
  if (tool_ == Tool::torchtune && !ranked) add("adapter", "none", "the recipe names no lora_rank");
  if (tool_ == Tool::torchtune) {
    const ForeignLeaf* component = leaf("dataset._component_");
    if (component != nullptr && component->value->text.find("alpaca") != std::string::npos)
      add("train_on_inputs", "true", "torchtune's alpaca_dataset takes it so");
  }
  for (const ForeignDefault& standard : foreign_defaults()) {
    if (standard.tool == tool_) add(standard.key, std::string(standard.value), fmt::format("{} takes it so", tool));
  }
  if (tool_ == Tool::llamafactory)
    add("lora_alpha", std::to_string(2 * config_.lora_rank), "LLaMA-Factory takes 2 x lora_rank");
  if (tool_ == Tool::mlx) add("lora_alpha", std::to_string(20 * config_.lora_rank), "MLX scales by 20");
  if (!accumulation_ && !attempted_.contains("global_batch_size") &&
      attempted_.emplace("gradient_accumulation_steps", "").second) {
    accumulation_ = 1;
    result_.added.push_back({"gradient_accumulation_steps", "1", fmt::format("{} takes it so", tool)});
  }
}

void ForeignImporter::withdraw(std::string_view key, const std::string& why) {
  RunConfig defaults;
  const Key& ours = *config_key(key);
  const Place usual = ours.place(&defaults);
  std::visit([&](auto* value) { *value = **std::get_if<decltype(value)>(&usual); }, ours.place(&config_));
  comments_.erase(std::string(key));
  for (ImportedKey& imported : result_.account) {
    if (imported.key != key || imported.outcome != ImportOutcome::taken) continue;
    imported.outcome = ImportOutcome::left_out;
    imported.key.clear();
    imported.why = why;
  }
}

void ForeignImporter::settle_exclusions() {
  if (config_.warmup_steps > 0 && config_.warmup_ratio > 0)
    withdraw("warmup_ratio", "warmup_steps is given too, and decides");
  if (config_.eval_steps > 0 && config_.val_set_size == 0)
    withdraw("eval_steps", "nothing is held back to evaluate on: set val_set_size, then eval_steps");
}

void ForeignImporter::find_missing() {
  if (config_.model_name_or_path.empty())
    result_.missing.push_back("the base model: set model_name_or_path to its directory");
  for (const std::string& why : wrong_data_) result_.missing.push_back(why);
  if (config_.datasets.empty() && wrong_data_.empty())
    result_.missing.push_back("the data: set datasets to a list of {path, type}");
  if (!result_.missing.empty()) return;
  ConfigBuilder builder;
  const Result<ConfigNode> tree = parse_yaml(result_.yaml, "what is written", false);
  if (!tree) return result_.missing.push_back(tree.error().what);
  builder.read(*tree, "what is written");
  if (builder.failures.empty()) builder.judge_whole();
  for (const Failure& failure : builder.failures) result_.missing.push_back(failure.what);
}

std::string ForeignImporter::written_datasets() const {
  if (config_.datasets.empty()) return "# datasets: [{path: data.jsonl, type: alpaca}]  # MISSING\n";
  std::string text = "datasets:\n";
  DatasetConfig defaults;
  for (DatasetConfig dataset : config_.datasets) {
    const char* indent = "  - ";
    for (const Key& key : dataset_keys()) {
      const std::string value = yaml_of(key.place(&dataset));
      if (key.name != "path" && key.name != "type" && value == yaml_of(key.place(&defaults))) continue;
      text += fmt::format("{}{}: {}\n", std::exchange(indent, "    "), key.name, value);
    }
  }
  return text;
}

std::string ForeignImporter::written() const {
  std::string text = fmt::format("# Written by ftlaunch import-config from a configuration of {}.\n", name_of(tool_));
  if (config_.model_name_or_path.empty()) text += "# model_name_or_path: models/base  # MISSING\n";
  RunConfig config = config_;
  std::string section;
  for (const Key& key : config_keys()) {
    if (key.name == "datasets") text += written_datasets();
    const auto comment = comments_.find(key.name);
    if (key.name == "global_batch_size" && accumulation_) {
      const auto from = attempted_.find("gradient_accumulation_steps");
      text +=
          fmt::format("gradient_accumulation_steps: {}  # {}\n", *accumulation_,
                      from == attempted_.end() || from->second.empty() ? fmt::format("{} takes it so", name_of(tool_))
                                                                       : "global_batch_size follows from it");
    }
    if (comment == comments_.end() || key.name == "datasets") continue;
    const std::size_t dot = key.name.find('.');
    const std::string in(dot == std::string_view::npos ? "" : key.name.substr(0, dot));
    if (!in.empty() && in != section) text += in + ":\n";
    section = in;
    text += fmt::format("{}{}: {}{}{}\n", in.empty() ? "" : "  ", in.empty() ? key.name : key.name.substr(dot + 1),
                        yaml_of(key.place(&config)), comment->second.empty() ? "" : "  # ", comment->second);
  }
  std::size_t lines = 0;
  for (const ImportedKey& key : result_.account) {
    if (key.outcome != ImportOutcome::left_out || ++lines > most_comments) continue;
    if (lines == 1) text += fmt::format("\n# Keys of {} that were left out, and why:\n", name_of(tool_));
    text += fmt::format("#   {}: {}\n#       {}\n", commented(key.name), key.value, in_one_line(key.why));
  }
  if (lines > most_comments) text += fmt::format("#   and {} more: --json has them\n", lines - most_comments);
  return text;
}

ConfigImport ForeignImporter::run() {
  result_.tool = tool_;
  for (const ForeignLeaf& leaf : leaves_) {
    if (leaf.value->shape == ConfigNode::Shape::null) {
      account(leaf, ImportOutcome::nothing_set, "", "no value");
      continue;
    }
    if (translate(leaf)) continue;
    const ForeignKey* foreign = foreign_key(leaf.name, tool_);
    if (foreign != nullptr && foreign->name == leaf.name)
      take_foreign(leaf, *foreign);
    else if (config_key(leaf.name) != nullptr)
      take(leaf, leaf.name, *leaf.value);
    else if (foreign != nullptr)
      take_foreign(leaf, *foreign);
    else
      leave_out(leaf, fmt::format("no key of {} that ftlaunch knows", name_of(tool_)));
  }
  finish_datasets();
  add_defaults();
  settle_exclusions();
  result_.yaml = written();
  find_missing();
  return std::move(result_);
}

namespace {

Result<ConfigNode> tree_of(const std::string& text, const std::string& origin) {
  Result<ConfigNode> tree = parse_yaml(text, origin);
  if (tree && tree->shape != ConfigNode::Shape::mapping) {
    return Failure{FaultKind::config_invalid_value,
                   fmt::format("the configuration is {}: a mapping of keys is wanted", shown(*tree)), origin, ""};
  }
  return tree;
}

// A name that is one tool's alone tells more than one that several have.
Result<Tool> telling(const std::vector<ForeignLeaf>& leaves, const std::string& origin) {
  std::array<int, tools_with_files.size()> points{};
  for (const ForeignLeaf& leaf : leaves) {
    std::vector<std::size_t> having;
    for (std::size_t i = 0; i < tools_with_files.size(); ++i) {
      const ForeignKey* key = foreign_key(leaf.name, tools_with_files[i]);
      if (key != nullptr && key->is_of(tools_with_files[i])) having.push_back(i);
    }
    for (const std::size_t i : having) points[i] += having.size() == 1 ? 3 : 1;
  }
  const auto best = std::ranges::max_element(points);
  if (*best > 0 && std::ranges::count(points, *best) == 1)
    return tools_with_files[static_cast<std::size_t>(best - points.begin())];
  return Failure{FaultKind::config_invalid_value,
                 *best == 0 ? "no key tells which tool's configuration this is"
                            : "the keys fit more than one tool's configuration alike",
                 origin, "name it: --from axolotl, llamafactory, torchtune, trl or mlx"};
}

}  // namespace

Result<Tool> tool_of_config(const std::string& text, const std::string& origin) {
  const Result<ConfigNode> tree = tree_of(text, origin);
  if (!tree) return tree.error();
  return telling(leaves_of(*tree), origin);
}

Result<ConfigImport> import_config(const std::string& text, const std::string& origin, std::optional<Tool> tool,
                                   const ForeignFiles& files) {
  const Result<ConfigNode> tree = tree_of(text, origin);
  if (!tree) return tree.error();
  std::vector<ForeignLeaf> leaves = leaves_of(*tree);
  if (!tool) {
    const Result<Tool> found = telling(leaves, origin);
    if (!found) return found.error();
    tool = *found;
  }
  return ForeignImporter(*tool, files, std::move(leaves)).run();
}

}  // namespace ftl
