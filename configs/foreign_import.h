// A configuration of another fine-tuning tool, written anew for ftlaunch. Every key of the original is accounted for:
// taken over, or left out with the reason.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "configs/foreign_keys.h"
#include "failures/result.h"

namespace ftl {

enum class ImportOutcome : std::uint8_t { taken, left_out, nothing_set };
std::string_view name_of(ImportOutcome outcome);

struct ImportedKey {
  std::string name;   // dotted, "datasets[0].path"
  std::string where;  // file:line:column
  std::string value;  // as it was written, one short line
  ImportOutcome outcome;
  std::string key;  // of ftlaunch, where it was taken to
  std::string why;  // what was made of it, or why nothing
};

struct AddedKey {
  std::string key, value, why;  // a default of the tool that is not ftlaunch's
};

struct ConfigImport {
  Tool tool;
  std::string yaml;                  // a configuration of ftlaunch, complete when nothing is missing
  std::vector<ImportedKey> account;  // in the order of the original
  std::vector<AddedKey> added;
  std::vector<std::string> missing;  // what a run needs and the original does not give: a sentence each
};

// Reads files that a configuration refers to (LLaMA-Factory's dataset_info.json); nullopt: there is none.
using ForeignFiles = std::function<std::optional<std::string>(const std::string& path)>;

// The tool by its telling keys; config_invalid_value when none or more than one fits.
Result<Tool> tool_of_config(const std::string& text, const std::string& origin);

// Without a tool, the one that tool_of_config finds. `origin`: for the places of keys. Errors: config_syntax,
// config_invalid_value.
Result<ConfigImport> import_config(const std::string& text, const std::string& origin, std::optional<Tool> tool,
                                   const ForeignFiles& files);

}  // namespace ftl
