// A configuration file. Accepted: what is written from it, as JSON for ranks and as YAML for people, is accepted again
// and is the same configuration.
#include "configs/config_reader.h"

#include "tests/checkpoints/fresh_directory.h"
#include "tests/fuzz/fuzz_target.h"

namespace ftl {
namespace {

Result<ReadConfig> read(const FreshDirectory& directory, const std::string& name, const std::string& text) {
  put(directory / name, text);
  std::vector<Failure> all;
  Result<ReadConfig> read = read_config({directory / name, {"seed=7", "datasets.0.max_samples=3"}}, &all);
  must(read ? all.empty() : !all.empty() && !all.front().what.empty(), "a refusal says why, and nothing else does");
  return read;
}

bool run(std::string_view input) {
  static const FreshDirectory directory;
  const Result<ReadConfig> got = read(directory, "given.yaml", std::string(input));
  (void)config_from_json(std::string(input));
  if (!got) return false;
  const std::string json = to_json(got->config);
  const Result<RunConfig> from_json = config_from_json(json);
  must(static_cast<bool>(from_json), "the JSON of a configuration is accepted: " + json);
  must(to_json(*from_json) == json, "the JSON of a configuration is that configuration");
  must(identity_of(*from_json) == identity_of(got->config) && differences(*from_json, got->config).empty(),
       "equal configurations have one identity");
  const Result<ReadConfig> from_yaml = read(directory, "written.yaml", to_yaml(got->config));
  must(static_cast<bool>(from_yaml), "the YAML of a configuration is accepted: " + to_yaml(got->config));
  must(to_json(from_yaml->config) == json, "the YAML of a configuration is that configuration");
  return true;
}

const FuzzTarget target("config", run);

}  // namespace
}  // namespace ftl
