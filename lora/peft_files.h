// The PEFT adapter directory: adapter_model.safetensors and adapter_config.json, as Hugging Face PEFT >= 0.10 reads
// them.
#pragma once

#include <string>

#include "checkpoints/files.h"
#include "lora/adapter.h"

namespace ftl {

// Sorted keys, indent 2, nothing that depends on time, machine or ranks: equal runs write equal bytes.
std::string adapter_config_json(const AdapterShape& shape, const std::string& base_model);
Result<Done> write_peft_adapter(Files& files, const std::string& directory, Adapter& adapter,
                                const std::string& base_model);
// Kinds file_not_found, safetensors_corrupt, adapter_mismatch (both shapes named).
Result<Adapter> read_peft_adapter(Files& files, Device& device, const std::string& directory,
                                  std::span<const LinearModule> modules);

}  // namespace ftl
