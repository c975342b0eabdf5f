#include <stdexcept>

#include <fmt/format.h>
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "checkpoints/files.h"
#include "launcher/verbs/command_line.h"
#include "launcher/verbs/isolation.h"
#include "launcher/verbs/json_lines.h"
#include "launcher/verbs/loaded_model.h"
#include "launcher/verbs/verb.h"
#include "trainer/model/workspace.h"

namespace ftl {
namespace {

using Json = nlohmann::ordered_json;

std::vector<std::int32_t> ids_of(const Json& request, const ModelConfig& model) {
  if (!request.is_object() || !request.contains("ids") || !request["ids"].is_array()) {
    throw std::invalid_argument("a line must be an object with an array \"ids\"");
  }
  std::vector<std::int32_t> ids;
  for (const Json& id : request["ids"]) {
    if (!id.is_number_integer() || id.get<std::int64_t>() < 0 || id.get<std::int64_t>() >= model.vocabulary) {
      throw std::invalid_argument(fmt::format("token id {} is not in [0, {})",
                                              id.is_primitive() ? id.dump() : std::string(id.type_name()),
                                              model.vocabulary));
    }
    ids.push_back(id.get<std::int32_t>());
  }
  if (ids.empty() || static_cast<std::int64_t>(ids.size()) > model.max_positions) {
    throw std::invalid_argument(fmt::format("{} ids, must be 1 to {}", ids.size(), model.max_positions));
  }
  return ids;
}

std::string answer(LoadedModel& loaded, const std::string& line) {
  const ModelConfig& config = loaded.model->config();
  const std::vector<std::int32_t> ids = ids_of(Json::parse(line), config);
  const auto vocabulary = static_cast<std::size_t>(config.vocabulary);
  Result<std::unique_ptr<Workspace>> workspace = loaded.model->make_workspace(
      static_cast<std::int64_t>(ids.size()), false, loaded.adapter ? &loaded.adapter->shape() : nullptr);
  if (!workspace) throw std::runtime_error(workspace.error().what);
  std::vector<float> logits(ids.size() * vocabulary);
  if (auto done = loaded.model->logits(*loaded.stream, **workspace, loaded.adapter_or_null(), ids, logits); !done) {
    throw std::runtime_error(done.error().what);
  }
  Json rows = Json::array();
  for (std::size_t row = 0; row < ids.size(); ++row) {
    rows.push_back(std::vector<float>(logits.begin() + static_cast<std::ptrdiff_t>(row * vocabulary),
                                      logits.begin() + static_cast<std::ptrdiff_t>((row + 1) * vocabulary)));
  }
  return Json{{"logits", rows}}.dump();
}

int logits(const std::string& model, const std::string& adapter) {
  PosixFiles files;
  Result<LoadedModel> loaded = load_model_directory(files, model, adapter);
  if (!loaded) return refuse(loaded.error());
  return filter_json_lines([&](const std::string& line) { return answer(*loaded, line); });
}

}  // namespace

int run_logits(const Arguments& arguments) {
  CLI::App app("Logits of every position: {\"ids\"} a line in, {\"logits\"} out, float32.", "ftlaunch logits");
  std::string model;
  std::string adapter;
  app.add_option("--model", model, "model directory, Hugging Face's or Meta's")->required();
  app.add_option("--adapter", adapter, "PEFT adapter directory");
  if (auto code = parse(app, arguments)) return *code;
  return exit_code_from_child("computing logits", [&] { return logits(model, adapter); });
}

}  // namespace ftl
