// What a checkpoint directory or file is, told from its files alone: the facts behind `ftlaunch inspect`.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "checkpoints/files.h"
#include "failures/result.h"

namespace ftl {

struct DTypeShare {
  std::int64_t tensors = 0, parameters = 0;
};
struct CheckpointFile {
  std::string name;
  std::int64_t bytes = 0;
};
struct CheckpointSurvey {
  std::string format;  // "hugging_face_safetensors", ... (contract.md, inspect)
  std::string title;   // the same for people
  std::string family;  // "llama, 2 layers, width 16, ..."; empty when nothing here says it
  std::vector<CheckpointFile> files;
  std::map<std::string, DTypeShare> dtypes;
  std::int64_t tensors = 0, parameters = 0;
  std::int64_t model_parallel = 1;
  std::vector<std::string> notes;  // what is odd, and what was not looked into
  std::int64_t bytes() const;
};

// Nothing of a torch pickle is executed. Failures: file_not_found when there is no such path or nothing known in it,
// and those of the readers when it is damaged.
Result<CheckpointSurvey> survey_checkpoint(Files& files, const std::string& path);

}  // namespace ftl
