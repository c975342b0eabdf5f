// Reads the YAML configuration (the only user of yaml-cpp), applies aliases of other tools and --set overrides, checks
// every value by itself. Errors carry file:line:column; an unknown key names the nearest one.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "configs/run_config.h"
#include "failures/result.h"

namespace ftl {

struct ConfigSource {
  std::string path;                                             // the YAML file
  std::vector<std::string> overrides;                           // "key.sub=value", in order; values are YAML
  std::vector<std::pair<std::string, std::string>> texts = {};  // key and value, after them; values are text as it is
};

struct ReadConfig {
  RunConfig config;
  std::vector<std::string> notes;  // aliases that were resolved, for the user to see: "lora_r is read as lora_rank"
};

// Limits against hostile files: 1 MiB, 64 levels, 100,000 nodes, no aliases/anchors that expand beyond that.
// All errors found are returned together (kinds config_*; file_not_found); at least one when the vector is not empty.
struct ConfigErrors {
  std::vector<Failure> failures;
};
// The text of a configuration file; at most one byte more than the largest that is accepted. file_not_found.
Result<std::string> config_text_of(const std::string& path);
// A Failure: the first one; `all` (may be null) receives every one.
Result<ReadConfig> read_config(const ConfigSource& source, std::vector<Failure>* all = nullptr);

// The resolved configuration, every key, stable order. from_json(to_json(c)) == c; used in run.json and by ranks.
std::string to_json(const RunConfig& config);
Result<RunConfig> config_from_json(const std::string& json);
// For people (--dry-run): YAML, every key, defaults marked with a comment.
std::string to_yaml(const RunConfig& config);

// How a key behaves when a run is started again in the same directory (contract.md, "Running again").
enum class KeyClass { free, resume_safe, identity };
KeyClass key_class(const std::string& key);  // top-level key
// xxh3-128 (hex) over the identity keys' values. File contents are not part of it: the trainer adds hashes of data and
// model.
std::string identity_of(const RunConfig& config);
// Identity keys whose values differ, as "learning_rate: 0.0002 -> 0.001".
std::vector<std::string> identity_differences(const RunConfig& was, const RunConfig& is);
// Every key whose value differs, same form (for "what changed since").
std::vector<std::string> differences(const RunConfig& was, const RunConfig& is);

// docs/config.md: the reference of all keys, in Markdown, derived from the schema and from foreign_keys.def.
std::string config_reference();

}  // namespace ftl
