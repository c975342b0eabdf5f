#include "configs/foreign_import.h"

#include <cerrno>
#include <cstdio>

#include <fcntl.h>
#include <unistd.h>

#include <fmt/format.h>
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "configs/config_reader.h"
#include "launcher/run_files.h"
#include "launcher/verbs/command_line.h"
#include "launcher/verbs/verb.h"

namespace ftl {
namespace {

std::optional<std::string> text_beside(const std::string& path) {
  Result<std::string> text = config_text_of(path);
  return text ? std::optional(std::move(*text)) : std::nullopt;
}

std::string account_as_json(const ConfigImport& imported) {
  nlohmann::ordered_json json = {{"schema", "ftlaunch.import/1"},           {"tool", option_name_of(imported.tool)},
                                 {"complete", imported.missing.empty()},    {"missing", imported.missing},
                                 {"keys", nlohmann::ordered_json::array()}, {"added", nlohmann::ordered_json::array()}};
  for (const ImportedKey& key : imported.account) {
    json["keys"].push_back({{"name", key.name},
                            {"where", key.where},
                            {"value", key.value},
                            {"outcome", name_of(key.outcome)},
                            {"key", key.key},
                            {"why", key.why}});
  }
  for (const AddedKey& key : imported.added)
    json["added"].push_back({{"key", key.key}, {"value", key.value}, {"why", key.why}});
  json["yaml"] = imported.yaml;
  return json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

// Never over a file that is there, and never a part of one.
std::optional<Failure> write_new(const std::string& path, const std::string& text) {
  const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (file < 0 && errno == EEXIST)
    return Failure{FaultKind::usage_error, "there is a file already", path, "name another one with --out"};
  if (file < 0) return storage_failure(path, errno);
  std::size_t done = 0;
  int error = 0;
  while (error == 0 && done < text.size()) {
    const ssize_t wrote = ::write(file, text.data() + done, text.size() - done);
    if (wrote > 0) done += static_cast<std::size_t>(wrote);
    if (wrote < 0 && errno != EINTR) error = errno;
  }
  if (::close(file) != 0 && error == 0) error = errno;
  if (error == 0) return std::nullopt;
  ::unlink(path.c_str());
  return storage_failure(path, error);
}

void print_summary(const ConfigImport& imported, const std::string& out) {
  std::size_t taken = 0, left_out = 0;
  for (const ImportedKey& key : imported.account) {
    taken += key.outcome == ImportOutcome::taken;
    left_out += key.outcome == ImportOutcome::left_out;
  }
  std::fputs(fmt::format("{}: {} keys taken over, {} left out, {} without effect; {} defaults of the tool added\n",
                         name_of(imported.tool), taken, left_out, imported.account.size() - taken - left_out,
                         imported.added.size())
                 .c_str(),
             stderr);
  if (!out.empty()) std::fputs(fmt::format("written to {}\n", out).c_str(), stderr);
}

}  // namespace

int run_import_config(const Arguments& arguments) {
  CLI::App app(
      "Writes a configuration of another fine-tuning tool anew for ftlaunch; what is left out stands in comments.",
      "ftlaunch import-config");
  std::string path, from = "auto", out;
  bool json = false;
  app.add_option("file", path, "the configuration of the other tool (YAML)")->required();
  app.add_option("--from", from, "auto | axolotl | llamafactory | torchtune | trl | mlx");
  app.add_option("--out", out, "where to write; without it: standard output");
  app.add_flag("--json", json, "the account of every key, as JSON on standard output");
  if (auto code = parse(app, arguments)) return *code;
  const std::optional<Tool> tool = tool_named(from);
  if (!tool && from != "auto") {
    return refuse(Failure{FaultKind::usage_error, fmt::format("--from {}: no such tool", from), "command line",
                          "use auto, axolotl, llamafactory, torchtune, trl or mlx"});
  }
  const Result<std::string> text = config_text_of(path);
  if (!text) return refuse(text.error());
  const Result<ConfigImport> imported = import_config(*text, path, tool, text_beside);
  if (!imported) return refuse(imported.error());
  if (!out.empty()) {
    if (const std::optional<Failure> failure = write_new(out, imported->yaml)) return refuse(*failure);
  }
  if (json || out.empty()) std::fputs((json ? account_as_json(*imported) : imported->yaml).c_str(), stdout);
  print_summary(*imported, out);
  std::vector<Failure> missing;
  for (const std::string& what : imported->missing) {
    missing.push_back({FaultKind::config_missing_key, fmt::format("missing: {}", what), path,
                       out.empty() ? "add it to what was printed" : fmt::format("add it to {}", out)});
  }
  return missing.empty() ? 0 : refuse(missing);
}

}  // namespace ftl
