#include "trainer/data/record.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "trainer/tokenizer/json_view.h"

namespace ftl {
namespace {

Failure unreadable(std::string what) { return Failure{FaultKind::dataset_unreadable, std::move(what), "", ""}; }

enum class Needed { yes, or_empty };

// The text of a field. null counts as missing.
Result<std::string> text_of(const nlohmann::json& object, const std::string& field, Needed needed) {
  const auto found = object.find(field);
  if (found == object.end() || found->is_null()) {
    if (needed == Needed::or_empty) return std::string();
    std::string has;
    for (const auto& [key, value] : object.items()) has.append(has.empty() ? "" : ", ").append(key.substr(0, 40));
    return unreadable(std::string("field ") + in_quotes(field) +
                      " is missing; the line has: " + (has.empty() ? "nothing" : has.substr(0, 200)));
  }
  if (!found->is_string())
    return unreadable(std::string("field ") + in_quotes(field) + " is " + found->type_name() + ", must be a string");
  return found->get<std::string>();
}

std::string alpaca_prompt(const std::string& instruction, const std::string& input, bool stanford) {
  std::string prompt;
  if (stanford && input.empty()) {
    prompt =
        "Below is an instruction that describes a task. Write a response that appropriately completes the request.\n\n";
  } else if (stanford) {
    prompt =
        "Below is an instruction that describes a task, paired with an input that provides further context. "
        "Write a response that appropriately completes the request.\n\n";
  }
  prompt.append("### Instruction:\n").append(instruction).append("\n\n");
  if (!input.empty()) prompt.append("### Input:\n").append(input).append("\n\n");
  return prompt.append("### Response:\n");
}

Result<Record> completion(const nlohmann::json& object, const DatasetConfig& dataset) {
  Result<std::string> text = text_of(object, dataset.field_text, Needed::yes);
  if (!text) return text.error();
  Record record;
  record.may_be_cut = true;
  if (!text->empty()) record.segments.push_back({std::move(*text), true});
  return record;
}

Result<Record> answer(std::string prompt, std::string output) {
  Record record;
  if (output.empty()) return record;
  if (!prompt.empty()) record.segments.push_back({std::move(prompt), false});
  record.segments.push_back({std::move(output), true});
  return record;
}

Result<Record> alpaca(const nlohmann::json& object, const DatasetConfig& dataset) {
  Result<std::string> instruction = text_of(object, dataset.field_instruction, Needed::yes);
  if (!instruction) return instruction.error();
  Result<std::string> input = text_of(object, dataset.field_input, Needed::or_empty);
  if (!input) return input.error();
  Result<std::string> output = text_of(object, dataset.field_output, Needed::yes);
  if (!output) return output.error();
  return answer(alpaca_prompt(*instruction, *input, dataset.prompt_style == "stanford"), std::move(*output));
}

Result<Record> segments(const nlohmann::json& list) {
  if (!list.is_array())
    return unreadable(std::string("field \"segments\" is ") + list.type_name() + ", must be a list");
  Record record;
  record.end_supervised = false;
  for (std::size_t i = 0; i < list.size(); ++i) {
    const std::string place = std::string("segments[") + std::to_string(i) + "]: ";
    if (!list[i].is_object())
      return unreadable(place + list[i].type_name() + ", must be an object with \"text\" and \"label\"");
    Result<std::string> text = text_of(list[i], "text", Needed::yes);
    if (!text) return unreadable(place + text.error().what);
    const auto label = list[i].find("label");
    if (label == list[i].end() || !label->is_boolean())
      return unreadable(place + "field \"label\" must be true or false");
    if (!text->empty()) record.segments.push_back({std::move(*text), label->get<bool>()});
  }
  return record;
}

Result<Record> input_output(const nlohmann::json& object, const DatasetConfig& dataset) {
  if (const auto list = object.find("segments"); list != object.end()) return segments(*list);
  Result<std::string> input = text_of(object, dataset.field_input, Needed::or_empty);
  if (!input) return input.error();
  Result<std::string> output = text_of(object, dataset.field_output, Needed::yes);
  if (!output) return output.error();
  return answer(std::move(*input), std::move(*output));
}

}  // namespace

std::vector<Line> split_lines(std::string_view text, std::int64_t limit) {
  std::vector<Line> lines;
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  for (std::int64_t number = 1; !text.empty(); ++number) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    lines.push_back({line, number});
    if (limit > 0 && static_cast<std::int64_t>(lines.size()) == limit) break;
  }
  return lines;
}

Result<Record> read_record(std::string_view line, const DatasetConfig& dataset) {
  if (line.size() > max_line_bytes) {
    return unreadable(std::string("the line has ") + std::to_string(line.size()) + " bytes, at most " +
                      std::to_string(max_line_bytes) + " are read");
  }
  Result<nlohmann::json> object = parse_json(line, FaultKind::dataset_unreadable, "");
  if (!object) return object.error();
  if (!object->is_object())
    return unreadable(std::string("the line is ") + object->type_name() + ", must be a JSON object");
  switch (dataset.type) {
    case DatasetType::completion: return completion(*object, dataset);
    case DatasetType::alpaca: return alpaca(*object, dataset);
    case DatasetType::input_output: return input_output(*object, dataset);
  }
  return unreadable("the data set's type is unknown");
}

}  // namespace ftl
