#include "comm/survey.h"

#include <limits>

#include "comm/json_fields.h"

namespace ftl {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t survey_limit = 16u << 20;  // bytes; no list or text in it can be longer either
constexpr std::int64_t most = std::numeric_limits<std::int64_t>::max();

Json encode(const Failure& failure) {
  return {{"kind", info(failure.kind).name}, {"what", failure.what}, {"where", failure.where}, {"fix", failure.fix}};
}

Failure read_failure(JsonFields& in) {
  const auto kind = fault_kind_named(in.text("kind", survey_limit));
  return {kind.value_or(FaultKind::internal_error), in.text("what", survey_limit), in.text("where", survey_limit),
          in.text("fix", survey_limit)};
}

MemoryPlace read_place(JsonFields& in) {
  const std::string name = in.text("place", 16);
  for (const MemoryPlace place : {MemoryPlace::process, MemoryPlace::shared, MemoryPlace::mapped}) {
    if (name == name_of(place)) return place;
  }
  in.refuse("`place` is " + name + ", which is no place of memory");
  return MemoryPlace::process;
}

MemoryItem read_memory_item(JsonFields& in) {
  return {in.text("name", survey_limit), in.integer("bytes", 0, most), in.text("phase", survey_limit), read_place(in)};
}

template <class Entry>
std::vector<Entry> entries(JsonFields& in, const char* name, Entry (*read)(JsonFields&)) {
  std::vector<Entry> all;
  const nlohmann::json* list = in.array(name, survey_limit);
  for (std::size_t i = 0; list != nullptr && i < list->size(); ++i) {
    JsonFields one((*list)[i], std::string("an entry of `") + name + "`");
    all.push_back(read(one));
    if (one.problem()) in.refuse(*one.problem());
  }
  return all;
}

std::vector<std::string> texts(JsonFields& in, const char* name) {
  std::vector<std::string> all;
  const nlohmann::json* list = in.array(name, survey_limit);
  for (std::size_t i = 0; list != nullptr && i < list->size(); ++i) {
    if (const auto* text = (*list)[i].get_ptr<const std::string*>())
      all.push_back(*text);
    else
      in.refuse(std::string("`") + name + "` has an entry that is not a string");
  }
  return all;
}

std::map<std::string, std::int64_t> read_dropped(JsonFields& in, const nlohmann::json& survey) {
  std::map<std::string, std::int64_t> dropped;
  const auto found = survey.find("dropped");
  if (found == survey.end() || !found->is_object()) {
    in.refuse("`dropped` is not an object");
    return dropped;
  }
  JsonFields counts(*found, "`dropped`");
  for (const auto& [reason, count] : found->items()) dropped[reason] = counts.integer(reason.c_str(), 0, most);
  if (counts.problem()) in.refuse(*counts.problem());
  return dropped;
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
  const nlohmann::json object = JsonFields::parse(text, survey_limit);
  JsonFields in(object, "the survey of model and data");
  Survey survey;
  survey.failures = entries<Failure>(in, "failures", read_failure);
  survey.warnings = texts(in, "warnings");
  survey.model = in.text("model", survey_limit);
  survey.model_parameters = in.integer("model_parameters", 0, most);
  survey.trainable_parameters = in.integer("trainable_parameters", 0, most);
  survey.adapted_modules = texts(in, "adapted_modules");
  survey.train_examples = in.integer("train_examples", 0, most);
  survey.validation_examples = in.integer("validation_examples", 0, most);
  survey.dropped = read_dropped(in, object);
  survey.tokens = in.integer("tokens", 0, most);
  survey.supervised_tokens = in.integer("supervised_tokens", 0, most);
  survey.longest_example = in.integer("longest_example", 0, most);
  survey.steps = in.integer("steps", 0, most);
  survey.memory = entries<MemoryItem>(in, "memory", read_memory_item);
  survey.inputs_hash = in.text("inputs_hash", survey_limit);
  survey.platform = in.text("platform", survey_limit);
  survey.audit = in.text("audit", survey_limit);
  if (in.problem()) return Failure{FaultKind::internal_error, *in.problem(), "the survey of model and data", ""};
  return survey;
}

}  // namespace ftl
