// A model, its tokenizer and perhaps an adapter, loaded from directories: what the filter verbs and `generate` work on.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "checkpoints/files.h"
#include "checkpoints/reader.h"
#include "kernels/device.h"
#include "lora/adapter.h"
#include "trainer/model/llama.h"

namespace ftl {

struct LoadedModel {
  std::unique_ptr<Device> device;
  std::unique_ptr<Stream> stream;
  std::unique_ptr<CheckpointReader> reader;
  std::optional<Llama> model;
  std::optional<Adapter> adapter;
  const Adapter* adapter_or_null() const { return adapter ? &*adapter : nullptr; }
};

// `adapter_directory` may be empty. Uses all cores.
Result<LoadedModel> load_model_directory(Files& files, const std::string& model_directory,
                                         const std::string& adapter_directory);

}  // namespace ftl
