// What a survey of a configuration found: model, data and memory as the ranks would see them. It is made
// in a child process (a fault in a parser of foreign files is then a verdict, not a crash of the launcher); the
// launcher reads it for preflight, the dry run and the identity of the run.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "failures/result.h"

namespace ftl {

enum class MemoryPlace : std::uint8_t {
  process,  // of each rank
  shared,   // of each rank, in node-local shared memory (FTL_STATE_DIR)
  mapped,   // of a file, one copy for all ranks of a node
};
std::string_view name_of(MemoryPlace place);

struct MemoryItem {
  std::string name;        // "base weights", "gradient sums", ...
  std::int64_t bytes = 0;  // one rank
  std::string phase;       // "all", or the phase that needs it
  MemoryPlace place = MemoryPlace::process;
};

struct Survey {
  std::vector<Failure> failures;  // every check that refuses the run, not only the first
  std::vector<std::string> warnings;
  std::string model;  // "llama, 6 layers, width 192, 6/2 heads, vocabulary 2,048"
  std::int64_t model_parameters = 0;
  std::int64_t trainable_parameters = 0;
  std::vector<std::string> adapted_modules;
  std::int64_t train_examples = 0;
  std::int64_t validation_examples = 0;
  std::map<std::string, std::int64_t> dropped;
  std::int64_t tokens = 0;  // of all training examples
  std::int64_t supervised_tokens = 0;
  std::int64_t longest_example = 0;  // tokens
  std::int64_t steps = 0;
  std::vector<MemoryItem> memory;
  std::string inputs_hash;  // over data, tokenizer and model headers: part of the run's identity
  std::string platform;     // binary and instruction set
  std::string audit;        // a few examples with their supervised spans, for people
};

// Bytes of one rank in `place`.
std::int64_t memory_of_rank(const Survey& survey, MemoryPlace place);

std::string to_json(const Survey& survey);
Result<Survey> survey_from_json(const std::string& json);

}  // namespace ftl
