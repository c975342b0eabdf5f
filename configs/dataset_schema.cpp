#include "configs/schema.h"

namespace ftl {

#define IN(member) [](Owner c) -> Place { return &std::get<DatasetConfig*>(c)->member; }

const std::vector<Key>& dataset_keys() {
  static const std::vector<Key> keys = {
      {.name = "path",
       .place = IN(path),
       .behaviour = KeyClass::identity,
       .description = "a .jsonl, .json or text file; required"},
      {.name = "type",
       .place = IN(type),
       .behaviour = KeyClass::identity,
       .description = "how an example is laid out",
       .choices = {{"completion"}, {"alpaca"}, {"input_output"}, {"chat_template", {}, true}, {"sharegpt", {}, true}}},
      {.name = "prompt_style",
       .place = IN(prompt_style),
       .behaviour = KeyClass::identity,
       .description = "alpaca: the published preamble, or headers only",
       .choices = {{"stanford"}, {"short"}}},
      {.name = "field_instruction",
       .place = IN(field_instruction),
       .behaviour = KeyClass::identity,
       .description = "alpaca: field of the instruction"},
      {.name = "field_input",
       .place = IN(field_input),
       .behaviour = KeyClass::identity,
       .description = "alpaca: field of the input"},
      {.name = "field_output",
       .place = IN(field_output),
       .behaviour = KeyClass::identity,
       .description = "alpaca: field of the answer"},
      {.name = "field_text",
       .place = IN(field_text),
       .behaviour = KeyClass::identity,
       .description = "completion: field of the text"},
      {.name = "max_samples",
       .place = IN(max_samples),
       .behaviour = KeyClass::identity,
       .description = "use the first ones only; 0: all",
       .least = 0,
       .most = 1e15},
  };
  return keys;
}

#undef IN

}  // namespace ftl
