#include "launcher/last_verdict.h"

#include <fstream>
#include <sstream>

#include <nlohmann/json.hpp>

#include "launcher/run_directory.h"

namespace ftl {

namespace {

// A verdict after which the run went on says nothing about its end.
bool is_observation(const std::string& path) {
  std::ifstream file(path);
  const nlohmann::json json = nlohmann::json::parse(file, nullptr, false);
  if (!json.is_object()) return false;
  const nlohmann::json action = json.value("action", nlohmann::json());
  return action == "observe" || action == "previous_checkpoint";
}

}  // namespace

std::optional<LastVerdict> last_verdict(const std::string& run_directory) {
  std::vector<std::string> files = verdict_files(run_directory);
  while (!files.empty() && is_observation(run_directory + "/" + files.back())) files.pop_back();
  if (files.empty()) return std::nullopt;
  std::ifstream file(run_directory + "/" + files.back());
  const nlohmann::json json = nlohmann::json::parse(file, nullptr, false);
  if (!json.is_object() || !json.contains("kind") || !json["kind"].is_string()) return std::nullopt;
  const std::optional<FaultKind> kind = fault_kind_named(json["kind"].get<std::string>());
  if (!kind) return std::nullopt;
  LastVerdict verdict;
  verdict.kind = *kind;
  if (json.contains("attempt") && json["attempt"].is_number_integer()) verdict.attempt = json["attempt"];
  if (json.contains("step") && json["step"].is_number_integer()) verdict.step = json["step"];
  if (json.contains("retryable") && json["retryable"].is_boolean()) verdict.retryable = json["retryable"];
  if (json.contains("action") && json["action"].is_string()) verdict.action = json["action"];
  if (json.contains("fix") && json["fix"].is_string()) verdict.fix = json["fix"];
  return verdict;
}

std::vector<std::string> settings_in(const std::string& fix) {
  std::vector<std::string> settings;
  std::istringstream words(fix);
  for (std::string word; words >> word;) {
    if (word != "--set" || !(words >> word)) continue;
    while (!word.empty() && std::string_view(".,;`'\")").find(word.back()) != std::string_view::npos) word.pop_back();
    if (word.find('=') != std::string::npos) settings.push_back(word);
  }
  return settings;
}

}  // namespace ftl
