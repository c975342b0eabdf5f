// A configuration of another tool. Read: every key is accounted for, and what is written when nothing is missing is a
// configuration of ours, for every tool that it may be taken to be of.
#include "configs/config_reader.h"
#include "configs/config_tree.h"
#include "configs/foreign_import.h"

#include "tests/checkpoints/fresh_directory.h"
#include "tests/fuzz/fuzz_target.h"

namespace ftl {
namespace {

std::optional<std::string> no_file(const std::string&) { return std::nullopt; }

bool run(std::string_view input) {
  static const FreshDirectory directory;
  const std::string text(input);
  (void)tool_of_config(text, "given.yaml");
  bool taken = false;
  for (const Tool tool : tools_with_files) {
    const Result<ConfigImport> got = import_config(text, "given.yaml", tool, no_file);
    if (!got) continue;
    taken = true;
    must(static_cast<bool>(parse_yaml(got->yaml, "written.yaml")), "what is written is YAML: " + got->yaml);
    for (const ImportedKey& key : got->account)
      must(key.outcome != ImportOutcome::left_out || !key.why.empty(), "what is left out has a reason");
    if (!got->missing.empty()) continue;
    put(directory / "written.yaml", got->yaml);
    const Result<ReadConfig> read = read_config({directory / "written.yaml", {}});
    must(static_cast<bool>(read), "what is written is accepted: " + (read ? "" : describe(read.error())) + got->yaml);
  }
  return taken;
}

const FuzzTarget target("config_import", run);

}  // namespace
}  // namespace ftl
