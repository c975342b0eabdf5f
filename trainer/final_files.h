// What a finished run leaves: adapter/ as a PEFT directory, or model/ as a Hugging Face directory in full-parameter
// mode.
#pragma once

#include <string>

#include "checkpoints/files.h"
#include "configs/run_config.h"
#include "trainer/model/llama.h"

namespace ftl {

// Written beside its final name and renamed, so a directory of that name is complete. An older one is replaced.
Result<Done> write_final_adapter(Files& files, const std::string& run_directory, Adapter& adapter,
                                 const RunConfig& config, std::int32_t attempt);
// Weights in bf16 (round to nearest even); config.json, tokenizer and generation files are copied from the base.
Result<Done> write_final_model(Files& files, const std::string& run_directory, Llama& model, const RunConfig& config,
                               std::int32_t attempt);

}  // namespace ftl
