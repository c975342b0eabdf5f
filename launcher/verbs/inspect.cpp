#include <cstdio>

#include <fmt/format.h>
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "checkpoints/printable.h"
#include "launcher/verbs/checkpoint_survey.h"
#include "launcher/verbs/command_line.h"
#include "launcher/verbs/isolation.h"
#include "launcher/verbs/verb.h"

namespace ftl {
namespace {

using Json = nlohmann::ordered_json;

std::string json_of(const CheckpointSurvey& survey) {
  Json json = {{"schema", "ftlaunch.checkpoint/1"}, {"format", survey.format}};
  json["family"] = survey.family.empty() ? Json(nullptr) : Json(survey.family);
  json["parameters"] = survey.parameters;
  json["tensors"] = survey.tensors;
  json["bytes"] = survey.bytes();
  json["model_parallel"] = survey.model_parallel;
  json["dtypes"] = Json::object();
  for (const auto& [dtype, share] : survey.dtypes)
    json["dtypes"][dtype] = {{"tensors", share.tensors}, {"parameters", share.parameters}};
  json["files"] = Json::array();
  for (const CheckpointFile& file : survey.files) json["files"].push_back({{"name", file.name}, {"bytes", file.bytes}});
  json["notes"] = survey.notes;
  return json.dump(2, ' ', false, Json::error_handler_t::replace);
}

std::string text_of(const CheckpointSurvey& survey) {
  std::string text = survey.title + "\n";
  if (!survey.family.empty()) text += fmt::format("  model       {}\n", survey.family);
  if (survey.tensors > 0) text += fmt::format("  parameters  {} in {} tensors\n", survey.parameters, survey.tensors);
  for (const auto& [dtype, share] : survey.dtypes)
    text += fmt::format("  {:<10}  {} parameters in {} tensors\n", dtype, share.parameters, share.tensors);
  if (survey.model_parallel > 1)
    text += fmt::format("  parallel    split over {} model-parallel files\n", survey.model_parallel);
  text += fmt::format("  files       {}, {} bytes\n", survey.files.size(), survey.bytes());
  for (const CheckpointFile& file : survey.files)
    text += fmt::format("    {}  {} bytes\n", printable(file.name), file.bytes);
  for (const std::string& note : survey.notes) text += fmt::format("  note: {}\n", note);
  return text;
}

int inspect(const std::string& path, bool json) {
  PosixFiles files;
  const Result<CheckpointSurvey> survey = survey_checkpoint(files, path);
  if (!survey) return refuse(survey.error());
  std::fputs(json ? (json_of(*survey) + "\n").c_str() : text_of(*survey).c_str(), stdout);
  return 0;
}

}  // namespace

int run_inspect(const Arguments& arguments) {
  CLI::App app("What a checkpoint is: format, model, files, dtypes, parameters. Nothing in it is executed.",
               "ftlaunch inspect");
  std::string path;
  bool json = false;
  app.add_option("path", path, "checkpoint directory or file")->required();
  app.add_flag("--json", json, "schema ftlaunch.checkpoint/1");
  if (auto code = parse(app, arguments)) return *code;
  return exit_code_from_child("inspecting the checkpoint", [&] { return inspect(path, json); });
}

}  // namespace ftl
