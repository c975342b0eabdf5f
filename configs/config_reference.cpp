// docs/config.md: every key, and every key of other tools, from the two tables that the reader goes by.
#include <cmath>
#include <map>

#include <fmt/format.h>

#include "configs/config_reader.h"
#include "configs/config_values.h"
#include "configs/foreign_keys.h"
#include "configs/schema.h"

namespace ftl {
namespace {

std::string_view type_of(const Key& key, const Place& place) {
  struct Names {
    std::string_view operator()(bool*) const { return "true or false"; }
    std::string_view operator()(int*) const { return "integer"; }
    std::string_view operator()(std::int64_t*) const { return "integer"; }
    std::string_view operator()(std::uint64_t*) const { return "integer"; }
    std::string_view operator()(double*) const { return "number"; }
    std::string_view operator()(std::string*) const { return "text"; }
    std::string_view operator()(std::vector<std::string>*) const { return "text or list of texts"; }
    std::string_view operator()(DatasetType*) const { return "word"; }
    std::string_view operator()(std::vector<DatasetConfig>*) const { return "list of data sets"; }
  };
  return key.choices.empty() ? std::visit(Names{}, place) : "word";
}

std::string limits_of(const Key& key) {
  std::string text(key.word_for_zero);
  const auto add = [&](std::string more) { text += (text.empty() ? "" : ", ") + more; };
  if (std::isfinite(key.least)) add(fmt::format("{} {}", key.above_least ? ">" : ">=", key.least));
  if (std::isfinite(key.most) && key.most < 1e6) add(fmt::format("<= {}", key.most));
  return text;
}

std::string values_of(const Key& key) {
  std::string text = key.only_default ? "only the default in this version" : limits_of(key);
  const auto add = [&](std::string more) { text += (text.empty() ? "" : ", ") + more; };
  for (const Choice& choice : key.choices) {
    if (choice.later) continue;
    add(choice.canonical.empty() ? std::string(choice.text) : fmt::format("{} = {}", choice.text, choice.canonical));
  }
  return text;
}

std::string_view class_name(KeyClass behaviour) {
  switch (behaviour) {
    case KeyClass::free: return "free";
    case KeyClass::resume_safe: return "resume-safe";
    case KeyClass::identity: return "identity";
  }
  return "?";
}

std::string rows(const std::vector<Key>& keys, Owner defaults) {
  std::string text = "| key | type | default | values | class | meaning |\n|---|---|---|---|---|---|\n";
  for (const Key& key : keys) {
    const Place place = key.place(defaults);
    text += fmt::format("| {} | {} | `{}` | {} | {} | {} |\n", key.name, type_of(key, place), yaml_of(place),
                        values_of(key), class_name(key.behaviour), key.description);
  }
  return text;
}

// How a foreign key becomes ours: "lora_target_linear: true", "not mask_prompt", "lora_r".
std::string name_in_tool(const ForeignKey& foreign) {
  const std::string_view name = foreign.name;
  if (foreign.meaning == ForeignMeaning::inverse) return fmt::format("not `{}`", name);
  if (foreign.meaning == ForeignMeaning::sets)
    return fmt::format("`{}: true` ({})", name, foreign.say.substr(0, foreign.say.find('|')));
  return fmt::format("`{}`", name);
}

std::string names_in_tools() {
  std::string head = "| key |", rule = "|---|";
  for (std::size_t i = 0; i <= static_cast<std::size_t>(Tool::peft); ++i) {
    head += fmt::format(" {} |", name_of(static_cast<Tool>(i)));
    rule += "---|";
  }
  std::string text = head + " besides |\n" + rule + "---|\n";
  std::map<std::string_view, std::vector<const ForeignKey*>> by_key;
  for (const ForeignKey& foreign : foreign_keys()) {
    if (!foreign.names_a_key()) continue;
    const bool of_dataset = foreign.name.starts_with("datasets[].");
    by_key[of_dataset ? foreign.name.substr(0, foreign.name.find('.')) : foreign.key].push_back(&foreign);
  }
  const auto add_row = [&](std::string_view key, std::string_view shown) {
    const auto found = by_key.find(key);
    if (found == by_key.end()) return;
    text += fmt::format("| {} |", shown);
    for (std::size_t i = 0; i <= static_cast<std::size_t>(Tool::peft) + 1; ++i) {
      std::string cell;
      for (const ForeignKey* foreign : found->second) {
        const bool here =
            i > static_cast<std::size_t>(Tool::peft) ? foreign->tools == 0 : foreign->is_of(static_cast<Tool>(i));
        if (here) cell += (cell.empty() ? " " : ", ") + name_in_tool(*foreign);
      }
      text += cell + " |";
    }
    text += "\n";
  };
  for (const Key& key : config_keys()) add_row(key.name, key.name);
  add_row("datasets[]", "datasets[].field_text");
  return text;
}

std::string refused_names() {
  std::string text = "| key | of | |\n|---|---|---|\n";
  for (const ForeignKey& foreign : foreign_keys()) {
    if (foreign.names_a_key()) continue;
    const std::string_view what = foreign.meaning == ForeignMeaning::later      ? "not in this version"
                                  : foreign.meaning == ForeignMeaning::needless ? "not needed"
                                                                                : "another way";
    std::string name(foreign.name);
    for (std::size_t at = 0; (at = name.find('*', at)) != std::string::npos; at += 3) name.replace(at, 1, "...");
    text += fmt::format("| {} | {} | {}{}{} |\n", name, tools_of(foreign), what, foreign.say.empty() ? "" : ": ",
                        foreign.say);
  }
  return text;
}

}  // namespace

std::string config_reference() {
  RunConfig run;
  DatasetConfig dataset;
  return "# Configuration\n\n"
         "`ftlaunch --config FILE` reads YAML with the keys below; `--set key.sub=value` overrides one. Relative paths "
         "are against the\n"
         "working directory. An unknown key is an error that names the nearest one. `configs/lora-tiny.yaml` is the "
         "first run.\n\n"
         "A key's class says what its change does to a started run: *free* nothing, *resume-safe* the run goes on with "
         "the same bits,\n"
         "*identity* it is another run (another `output_dir`, or `--resume never`).\n\n"
         "This page is made from the tables that the reader goes by: `build/release/bin/config_reference > "
         "docs/config.md`.\n\n"
         "## Keys\n\n" +
         rows(config_keys(), &run) +
         "\n`gradient_accumulation_steps` is read too: without `global_batch_size` the global batch is derived from "
         "it, and said.\n\n"
         "## Keys of a data set\n\n" +
         rows(dataset_keys(), &dataset) +
         "\n## What excludes each other\n\n"
         "| | |\n|---|---|\n"
         "| warmup_steps and warmup_ratio | an error when both are above 0 |\n"
         "| eval_steps without val_set_size | an error |\n"
         "| a key and another name for it, or two of its names | an error |\n"
         "| max_steps and num_train_epochs | max_steps decides, and it is said |\n"
         "| global_batch_size and gradient_accumulation_steps | global_batch_size decides, and it is said |\n"
         "| adapter: none and keys of the adapter | they have no effect, and it is said |\n"
         "| parallel.dp and the number of ranks | an error of `ftlaunch check` when they differ |\n\n"
         "## Names in other tools\n\n"
         "These are read as the key in the first column, and each is reported once. Names that a tool shares with "
         "ftlaunch are not listed.\n"
         "`ftlaunch import-config FILE` writes a whole file of another tool anew, with what that tool takes where the "
         "file is silent.\n\n" +
         names_in_tools() +
         "\n## Keys of other tools that are refused\n\n"
         "The error says what stands here. Without a value, or switched off where it is not in this version, such a "
         "key is passed over.\n"
         "`import-config` translates some of those that have another way, data sets above all.\n\n" +
         refused_names();
}

}  // namespace ftl
