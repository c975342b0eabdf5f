// params.json, which stands beside Meta's own Llama checkpoints, as the architecture it means (meta-llama/llama,
// llama/model.py: ModelArgs, FeedForward).
#pragma once

#include <string>

#include "checkpoints/files.h"
#include "checkpoints/meta_checkpoint.h"
#include "failures/result.h"
#include "trainer/model/model_config.h"

namespace ftl {

// The vocabulary is 0 where the file leaves it to the tokenizer (vocab_size -1 or absent).
// Kinds: model_config_invalid, model_family_unsupported. `name` is for messages.
Result<ModelConfig> parse_meta_params(const std::string& json, const std::string& name);
// The same, the vocabulary taken from the tensors where it is not given.
Result<ModelConfig> read_meta_params(Files& files, const std::string& directory);

MetaShape meta_shape(const ModelConfig& config);

// Opens whatever holds the weights of `model_directory`: Meta's parts where read_model_config read a params.json,
// safetensors otherwise.
Result<std::unique_ptr<CheckpointReader>> open_base_weights(Files& files, const std::string& model_directory,
                                                            const ModelConfig& config);

}  // namespace ftl
