// Everything a rank trains with, loaded and checked against each other: model, tokenizer, examples, adapter.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "checkpoints/files.h"
#include "checkpoints/reader.h"
#include "comm/survey.h"
#include "configs/run_config.h"
#include "kernels/device.h"
#include "lora/adapter.h"
#include "trainer/data/examples.h"
#include "trainer/model/llama.h"
#include "trainer/model/model_config.h"
#include "trainer/tokenizer/tokenizer.h"

namespace ftl {

struct RunInputs {
  ModelConfig model_config;
  std::unique_ptr<CheckpointReader> reader;  // null when the weights are initialised randomly; outlives the model
  std::optional<Tokenizer> tokenizer;
  ExampleSet examples;
  std::optional<AdapterShape> adapter_shape;  // empty in full-parameter mode
};

AdapterOptions adapter_options(const RunConfig& config);
std::int64_t parameters_of(const ModelConfig& config);

// Loads everything but the weights. Stops at the first failure.
Result<RunInputs> load_inputs(Files& files, const RunConfig& config, int threads);
Result<Llama> load_model(Device& device, const RunConfig& config, const RunInputs& inputs);

// The same checks, all of them, none stopping the others where they are independent; plus sizes for plan and dry run.
// The platform is the caller's to add.
Survey survey_run(Files& files, Device& device, const RunConfig& config, int threads);

// Longest example of either set, in tokens: what workspaces are planned for.
std::int64_t longest_example(const ExampleSet& examples);

// A hash over the contents of data, tokenizer and weights and the model's architecture: part of the run's identity.
Result<std::string> hash_of_inputs(const RunInputs& inputs, int threads);
// A hash over names, inodes, sizes and times of last change of the files that the configuration names. While it is the
// same nobody has touched them; when it is not, only hash_of_inputs can tell whether they are others.
std::string stamp_of_inputs(const RunConfig& config);

// Bytes of each thing that a rank holds in memory at once.
std::vector<MemoryItem> rank_memory(const RunConfig& config, const RunInputs& inputs, int world_size);

}  // namespace ftl
