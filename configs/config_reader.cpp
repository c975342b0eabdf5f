#include "configs/config_reader.h"

#include <fstream>

#include "configs/config_builder.h"
#include "configs/named_path.h"

namespace ftl {

Result<std::string> config_text_of(const std::string& path) {
  if (auto failure = why_not_a_file(path)) return *failure;
  std::ifstream file(path, std::ios::binary);
  std::string text(largest_config + 1, '\0');  // one more than allowed: then it is seen to be too long
  if (!file.read(text.data(), static_cast<std::streamsize>(text.size())) && !file.eof()) {
    return Failure{FaultKind::file_not_found, "the configuration file cannot be read", path, ""};
  }
  text.resize(static_cast<std::size_t>(file.gcount()));
  return text;
}

Result<ReadConfig> read_config(const ConfigSource& source, std::vector<Failure>* all) {
  ConfigBuilder builder;
  const Result<std::string> text = config_text_of(source.path);
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
