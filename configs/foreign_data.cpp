// What several keys of a tool say together, or one key says in another form: data sets above all.
#include <algorithm>
#include <charconv>

#include <fmt/format.h>

#include "configs/config_values.h"
#include "configs/foreign_importer.h"

namespace ftl {
namespace {

bool is_scalar(const ConfigNode& node) { return node.shape == ConfigNode::Shape::scalar; }

// Of a list of scalars or of a scalar with commas.
std::vector<std::string> names_in(const ConfigNode& node) {
  std::vector<std::string> names;
  if (is_scalar(node)) {
    std::string_view rest = node.text;
    while (true) {
      const std::size_t comma = rest.find(',');
      std::string_view name = rest.substr(0, comma);
      while (name.starts_with(' ')) name.remove_prefix(1);
      while (name.ends_with(' ')) name.remove_suffix(1);
      if (!name.empty()) names.emplace_back(name);
      if (comma == std::string_view::npos) break;
      rest.remove_prefix(comma + 1);
    }
  }
  for (const ConfigNode& child : node.children) {
    if (is_scalar(child) && !child.text.empty()) names.push_back(child.text);
  }
  return names;
}

std::optional<double> number_in(const ConfigNode& node) {
  double value = 0;
  const char* const end = node.text.data() + node.text.size();
  const auto [stop, error] = std::from_chars(node.text.data(), end, value);
  return is_scalar(node) && stop == end && error == std::errc() ? std::optional(value) : std::nullopt;
}

// The generic readers of the datasets library, which a path may name instead of a file.
bool is_builder(std::string_view path) {
  return path == "json" || path == "text" || path == "csv" || path == "parquet";
}

std::string text_in(const ConfigNode* mapping, std::string_view key) {
  if (mapping == nullptr) return "";
  const auto found = std::ranges::find(mapping->keys, key);
  if (found == mapping->keys.end()) return "";
  return mapping->children[static_cast<std::size_t>(found - mapping->keys.begin())].text;
}

const ConfigNode* child_of(const ConfigNode* mapping, std::string_view key) {
  if (mapping == nullptr) return nullptr;
  const auto found = std::ranges::find(mapping->keys, key);
  return found == mapping->keys.end() ? nullptr
                                      : &mapping->children[static_cast<std::size_t>(found - mapping->keys.begin())];
}

}  // namespace

bool ForeignImporter::translate(const ForeignLeaf& leaf) {
  if (translate_resume(leaf) || translate_task(leaf)) return true;
  switch (tool_) {
    case Tool::axolotl:
      if (leaf.name == "datasets") take_listed_datasets(leaf);
      return leaf.name == "datasets";
    case Tool::llamafactory: return translate_llamafactory(leaf);
    case Tool::torchtune: return translate_torchtune(leaf);
    case Tool::trl: return translate_trl(leaf);
    case Tool::mlx: return translate_mlx(leaf);
    case Tool::peft: return false;
  }
  return false;
}

bool ForeignImporter::translate_resume(const ForeignLeaf& leaf) {
  if (leaf.name != "resume_from_checkpoint") return false;
  attempted_.emplace(leaf.name, leaf.name);
  if (truth_of(*leaf.value))
    account(leaf, ImportOutcome::nothing_set, leaf.name, "an interrupted run is resumed by itself");
  else
    leave_out(leaf, fmt::format("a checkpoint of {} is none of ftlaunch", name_of(tool_)));
  return true;
}

// Only supervised fine-tuning can be had.
bool ForeignImporter::translate_task(const ForeignLeaf& leaf) {
  const bool names_task = (tool_ == Tool::llamafactory && leaf.name == "stage" && leaf.value->text != "sft") ||
                          (tool_ == Tool::mlx && leaf.name == "training_mode" && leaf.value->text != "normal") ||
                          (tool_ == Tool::axolotl && leaf.name == "rl");
  if (!names_task) return false;
  leave_out(leaf, "not in this version: only supervised fine-tuning is");
  result_.missing.push_back(fmt::format("the task: {} is {}, and only supervised fine-tuning is in this version",
                                        leaf.name, shown(*leaf.value)));
  return true;
}

bool ForeignImporter::translate_llamafactory(const ForeignLeaf& leaf) {
  if (leaf.name == "dataset") {
    take_named_datasets(leaf);
    return true;
  }
  const bool of_dataset = leaf.name == "dataset_dir" || leaf.name == "max_samples";
  if (of_dataset) account(leaf, ImportOutcome::taken, "datasets", "of each data set");
  return of_dataset;
}

DatasetConfig ForeignImporter::named_dataset(const std::string& name) {
  const ForeignLeaf* directory = leaf("dataset_dir");
  const std::string where = directory == nullptr ? "data" : directory->value->text;
  const std::string list_path = where + "/dataset_info.json";
  DatasetConfig dataset;
  dataset.type = DatasetType::alpaca;
  dataset.path = fmt::format("{}/{}.json", where, name);
  const std::optional<std::string> text = files_ ? files_(list_path) : std::nullopt;
  const Result<ConfigNode> list = text ? parse_json(*text, list_path) : Result<ConfigNode>(ConfigNode{});
  const ConfigNode* entry = list ? child_of(&*list, name) : nullptr;
  if (!list) wrong_data_.push_back(fmt::format("{}: {}", list_path, list.error().what));
  if (entry == nullptr) return dataset;
  if (const std::string file = text_in(entry, "file_name"); !file.empty())
    dataset.path = fmt::format("{}/{}", where, file);
  else
    wrong_data_.push_back(
        fmt::format("a file for the data set {}: {} names none; ftlaunch downloads nothing", shown(name), list_path));
  if (const std::string format = text_in(entry, "formatting"); !format.empty() && format != "alpaca")
    wrong_data_.push_back(fmt::format("data that can be read: {} is of the format {}, which is not in this version",
                                      shown(name), shown(format)));
  const ConfigNode* columns = child_of(entry, "columns");
  const auto rename = [&](std::string& field, std::string_view column) {
    if (const std::string given = text_in(columns, column); !given.empty()) field = given;
  };
  rename(dataset.field_instruction, "prompt");
  rename(dataset.field_input, "query");
  rename(dataset.field_output, "response");
  return dataset;
}

void ForeignImporter::take_named_datasets(const ForeignLeaf& leaf) {
  for (const std::string& name : names_in(*leaf.value)) {
    DatasetConfig dataset = named_dataset(name);
    if (const ForeignLeaf* most = this->leaf("max_samples")) {
      const std::optional<double> number = number_in(*most->value);
      if (number && *number >= 0 && *number < 1e15) dataset.max_samples = static_cast<std::int64_t>(*number);
    }
    config_.datasets.push_back(std::move(dataset));
  }
  if (config_.datasets.empty()) return leave_out(leaf, "it names no data set");
  account(leaf, ImportOutcome::taken, "datasets",
          "files as dataset_info.json has them, or NAME.json; laid out as alpaca, not by the template");
}

void ForeignImporter::take_betas(const ForeignLeaf& leaf) {
  const std::vector<std::string> betas = names_in(*leaf.value);
  if (betas.size() != 2) return leave_out(leaf, "two numbers are wanted");
  take_text(leaf, "adam_beta1", betas[0], "the first of the two");
  take_text(leaf, "adam_beta2", betas[1], "the second of the two");
}

// torchtune names the projections of attention in a list, those of the MLP by a switch.
void ForeignImporter::take_torchtune_targets(const ForeignLeaf& leaf) {
  std::vector<std::string> targets;
  if (const ForeignLeaf* attention = this->leaf("model.lora_attn_modules")) targets = names_in(*attention->value);
  std::ranges::replace(targets, std::string("output_proj"), std::string("o_proj"));
  const ForeignLeaf* mlp = this->leaf("model.apply_lora_to_mlp");
  if (mlp != nullptr && truth_of(*mlp->value).value_or(false))
    targets.insert(targets.end(), {"gate_proj", "up_proj", "down_proj"});
  if (attempted_.contains("lora_target"))
    return account(leaf, ImportOutcome::taken, "lora_target", "with model.lora_attn_modules");
  if (targets.empty()) return leave_out(leaf, "no module is named");
  ConfigNode list;
  list.shape = ConfigNode::Shape::list;
  for (const std::string& target : targets) {
    ConfigNode& name = list.children.emplace_back();
    name.shape = ConfigNode::Shape::scalar;
    name.text = target;
  }
  take(leaf, "lora_target", list, "with model.apply_lora_to_mlp");
}

bool ForeignImporter::translate_torchtune(const ForeignLeaf& leaf) {
  if (leaf.name == "model.lora_attn_modules" || leaf.name == "model.apply_lora_to_mlp") {
    take_torchtune_targets(leaf);
  } else if (leaf.name == "optimizer.betas") {
    take_betas(leaf);
  } else {
    return translate_torchtune_data(leaf);
  }
  return true;
}

bool ForeignImporter::translate_torchtune_data(const ForeignLeaf& leaf) {
  const std::string& name = leaf.name;
  const std::string& text = leaf.value->text;
  if (name == "dataset") {
    leave_out(leaf, "several data sets in one: write them out as datasets");
    wrong_data_.push_back(
        "the data: dataset is a list, which is not translated; set datasets to a list of {path, type}");
    return true;
  }
  constexpr std::string_view ours[] = {"dataset._component_", "dataset.source", "dataset.data_files", "dataset.column"};
  const bool is_map = name.starts_with("dataset.column_map.");
  if (!is_map && std::ranges::find(ours, name) == std::end(ours)) return false;
  if (config_.datasets.empty()) config_.datasets.emplace_back();
  DatasetConfig& dataset = config_.datasets[0];
  if (name == "dataset._component_") {
    if (text.find("alpaca") != std::string::npos)
      dataset.type = DatasetType::alpaca;
    else if (text.find("instruct_dataset") != std::string::npos)
      dataset.type = DatasetType::input_output;
    else if (text.find("text_completion") == std::string::npos)
      wrong_data_.push_back(
          fmt::format("data that can be read: {} builds it in a way that is not in this version", shown(text)));
  } else if (name == "dataset.source" && is_builder(text)) {
    return account(leaf, ImportOutcome::taken, "datasets", "dataset.data_files has the path"), true;
  } else if (name == "dataset.source" || name == "dataset.data_files") {
    const std::vector<std::string> files = names_in(*leaf.value);
    if (!files.empty()) dataset.path = files[0];
    for (std::size_t i = 1; i < files.size(); ++i) config_.datasets.push_back(config_.datasets[0]);
    for (std::size_t i = 1; i < files.size(); ++i) config_.datasets[i].path = files[i];
  } else if (name == "dataset.column") {
    dataset.field_text = text;
  } else if (name.ends_with(".instruction")) {
    dataset.field_instruction = text;
  } else if (name.ends_with(".input")) {
    dataset.field_input = text;
  } else if (name.ends_with(".output")) {
    dataset.field_output = text;
  } else {
    return false;
  }
  account(leaf, ImportOutcome::taken, "datasets", "");
  return true;
}

bool ForeignImporter::translate_trl(const ForeignLeaf& leaf) {
  if (leaf.name == "datasets") {
    take_listed_datasets(leaf);
  } else if (leaf.name == "dataset_name") {
    if (this->leaf("datasets") != nullptr) return leave_out(leaf, "TRL passes over it when datasets is given"), true;
    config_.datasets.emplace_back().path = leaf.value->text;
    account(leaf, ImportOutcome::taken, "datasets", "a file of that name is needed: nothing is downloaded");
  } else if (leaf.name == "dataset_text_field") {
    account(leaf, ImportOutcome::taken, "datasets", "field_text of each data set");
  } else {
    return false;
  }
  return true;
}

bool ForeignImporter::translate_mlx(const ForeignLeaf& leaf) {
  const std::string& name = leaf.name;
  const std::optional<double> number = number_in(*leaf.value);
  if (name == "data") {
    config_.datasets.emplace_back().path = leaf.value->text + "/train.jsonl";
    account(leaf, ImportOutcome::taken, "datasets", "train.jsonl of it; valid.jsonl is not read: set val_set_size");
  } else if (name == "lora_parameters.scale" && number) {
    const ForeignLeaf* rank = this->leaf("lora_parameters.rank");
    const double of = rank == nullptr ? 8 : number_in(*rank->value).value_or(8);
    take_text(leaf, "lora_alpha", fmt::format("{}", *number * of), "scale x rank");
  } else if (name == "optimizer_config.adamw.betas") {
    take_betas(leaf);
  } else if (name == "num_layers" && number && *number < 0) {
    account(leaf, ImportOutcome::nothing_set, "", "every layer is adapted, as ftlaunch does");
  } else if (name == "lr_schedule.arguments") {
    const std::vector<std::string> arguments = names_in(*leaf.value);
    if (arguments.empty()) return false;
    attempted_.erase("learning_rate");  // MLX passes over it when there is a schedule
    take_text(leaf, "learning_rate", arguments[0], "the first of them; the schedule ends with the run, at 0");
  } else if (name == "prompt_feature" || name == "completion_feature" || name == "text_feature") {
    account(leaf, ImportOutcome::taken, "datasets", "a field of each data set");
  } else {
    return false;
  }
  return true;
}

void ForeignImporter::take_listed_datasets(const ForeignLeaf& list) {
  attempted_.emplace("datasets", list.name);
  if (list.value->shape != ConfigNode::Shape::list) return leave_out(list, "a list of data sets is wanted");
  for (std::size_t i = 0; i < list.value->children.size(); ++i) {
    const ConfigNode& item = list.value->children[i];
    const std::string name = fmt::format("datasets[{}]", i);
    if (item.shape == ConfigNode::Shape::mapping)
      take_listed_dataset(name, item);
    else
      leave_out({name, item.where, &item}, "a mapping is wanted");
  }
}

void ForeignImporter::take_listed_dataset(const std::string& prefix, const ConfigNode& item) {
  DatasetConfig dataset;
  std::vector<std::string> files;
  for (std::size_t i = 0; i < item.keys.size(); ++i) {
    const ConfigNode& value = item.children[i];
    const ForeignLeaf leaf{fmt::format("{}.{}", prefix, item.keys[i]).substr(0, 200), item.key_places[i], &value};
    const ForeignKey* foreign = foreign_key("datasets[]." + item.keys[i], tool_);
    if (value.shape == ConfigNode::Shape::null) {
      account(leaf, ImportOutcome::nothing_set, "", "no value");
    } else if (item.keys[i] == "data_files") {
      files = names_in(value);
      account(leaf, ImportOutcome::taken, "datasets", "path");
    } else if (foreign == nullptr || foreign->meaning == ForeignMeaning::same) {
      take_dataset_key(dataset, leaf, foreign == nullptr ? item.keys[i] : std::string(foreign->key));
    } else {
      take_foreign(leaf, *foreign);
    }
  }
  if (files.empty()) files.push_back(dataset.path);
  for (const std::string& file : files) {
    dataset.path = file;
    config_.datasets.push_back(dataset);
  }
}

void ForeignImporter::take_dataset_key(DatasetConfig& dataset, const ForeignLeaf& leaf, const std::string& name) {
  const auto key = std::ranges::find(dataset_keys(), name, &Key::name);
  if (key == dataset_keys().end())
    return leave_out(leaf, fmt::format("no key of a data set of {} that ftlaunch knows", name_of(tool_)));
  Demand demand = demand_of(*key);
  demand.name = leaf.name;
  if (const std::optional<Failure> failure = assign(demand, key->place(&dataset), *leaf.value)) {
    leave_out(leaf, failure->what);
    if (name == "type") wrong_data_.push_back(fmt::format("data that can be read: {}", failure->what));
    return;
  }
  account(leaf, ImportOutcome::taken, fmt::format("datasets.{}", name), "");
}

// What is said of all data sets at once, and what none of them says.
void ForeignImporter::finish_datasets() {
  const auto field = [&](const char* name, std::string& into) {
    if (const ForeignLeaf* given = leaf(name)) into = given->value->text;
  };
  const auto is_true = [&](const char* name) {
    const ForeignLeaf* given = leaf(name);
    return given != nullptr && truth_of(*given->value).value_or(false);
  };
  const bool pairs = tool_ == Tool::trl   ? is_true("completion_only_loss")
                     : tool_ == Tool::mlx ? is_true("mask_prompt") || leaf("prompt_feature") != nullptr
                                          : false;
  for (DatasetConfig& dataset : config_.datasets) {
    if (tool_ == Tool::trl || tool_ == Tool::mlx) {
      field(tool_ == Tool::trl ? "dataset_text_field" : "text_feature", dataset.field_text);
      if (pairs) {
        dataset.type = DatasetType::input_output;
        dataset.field_input = "prompt";
        dataset.field_output = "completion";
        field("prompt_feature", dataset.field_input);
        field("completion_feature", dataset.field_output);
      }
    }
    const bool has_file = !dataset.path.empty() && !is_builder(dataset.path);
    if (has_file) continue;
    wrong_data_.push_back("the data: no file is named, and nothing is downloaded; set path of the data set");
    dataset.path.clear();
  }
}

}  // namespace ftl
