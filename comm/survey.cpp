#include "comm/survey.h"

#include <nlohmann/json.hpp>

namespace ftl {
namespace {

using Json = nlohmann::ordered_json;

Json encode(const Failure& failure) {
  return {{"kind", info(failure.kind).name}, {"what", failure.what}, {"where", failure.where}, {"fix", failure.fix}};
}

Failure decode_failure(const Json& json) {
  const auto kind = fault_kind_named(json.at("kind").get<std::string>());
  return {kind.value_or(FaultKind::internal_error), json.at("what"), json.at("where"), json.at("fix")};
}

MemoryPlace place_named(const std::string& name) {
  for (const MemoryPlace place : {MemoryPlace::shared, MemoryPlace::mapped}) {
    if (name == name_of(place)) return place;
  }
  return MemoryPlace::process;
}

}  // namespace

std::string_view name_of(MemoryPlace place) {
  switch (place) {
    case MemoryPlace::process: return "process";
    case MemoryPlace::shared: return "shared";
    case MemoryPlace::mapped: return "mapped";
  }
  return "process";
}

std::int64_t memory_of_rank(const Survey& survey, MemoryPlace place) {
  std::int64_t bytes = 0;
  for (const MemoryItem& item : survey.memory) {
    if (item.place == place) bytes += item.bytes;
  }
  return bytes;
}

std::string to_json(const Survey& survey) {
  Json json;
  json["failures"] = Json::array();
  for (const Failure& failure : survey.failures) json["failures"].push_back(encode(failure));
  json["warnings"] = survey.warnings;
  json["model"] = survey.model;
  json["model_parameters"] = survey.model_parameters;
  json["trainable_parameters"] = survey.trainable_parameters;
  json["adapted_modules"] = survey.adapted_modules;
  json["train_examples"] = survey.train_examples;
  json["validation_examples"] = survey.validation_examples;
  json["dropped"] = survey.dropped;
  json["tokens"] = survey.tokens;
  json["supervised_tokens"] = survey.supervised_tokens;
  json["longest_example"] = survey.longest_example;
  json["steps"] = survey.steps;
  json["memory"] = Json::array();
  for (const MemoryItem& item : survey.memory) {
    json["memory"].push_back(
        {{"name", item.name}, {"bytes", item.bytes}, {"phase", item.phase}, {"place", name_of(item.place)}});
  }
  json["inputs_hash"] = survey.inputs_hash;
  json["platform"] = survey.platform;
  json["audit"] = survey.audit;
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Result<Survey> survey_from_json(const std::string& text) {
  try {
    const Json json = Json::parse(text);
    Survey survey;
    for (const Json& failure : json.at("failures")) survey.failures.push_back(decode_failure(failure));
    survey.warnings = json.at("warnings").get<std::vector<std::string>>();
    survey.model = json.at("model");
    survey.model_parameters = json.at("model_parameters");
    survey.trainable_parameters = json.at("trainable_parameters");
    survey.adapted_modules = json.at("adapted_modules").get<std::vector<std::string>>();
    survey.train_examples = json.at("train_examples");
    survey.validation_examples = json.at("validation_examples");
    survey.dropped = json.at("dropped").get<std::map<std::string, std::int64_t>>();
    survey.tokens = json.at("tokens");
    survey.supervised_tokens = json.at("supervised_tokens");
    survey.longest_example = json.at("longest_example");
    survey.steps = json.at("steps");
    for (const Json& item : json.at("memory"))
      survey.memory.push_back({item.at("name"), item.at("bytes"), item.at("phase"), place_named(item.at("place"))});
    survey.inputs_hash = json.at("inputs_hash");
    survey.platform = json.at("platform");
    survey.audit = json.at("audit");
    return survey;
  } catch (const Json::exception& error) {
    return Failure{FaultKind::internal_error, std::string("a survey cannot be read: ") + error.what(),
                   "the survey of model and data", ""};
  }
}

}  // namespace ftl
