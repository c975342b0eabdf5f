// One case of tests/golden/data: the model, the adapters, the batch, and what PyTorch and PEFT computed from them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "checkpoints/files.h"
#include "checkpoints/reader.h"
#include "kernels/device.h"
#include "lora/peft_files.h"
#include "trainer/model/llama.h"
#include "trainer/model/workspace.h"

namespace ftl::golden {

template <class T>
T require(Result<T> result) {
  if (!result) throw std::runtime_error(describe(result.error()));
  return std::move(*result);
}

inline nlohmann::json read_json(const std::string& path) {
  std::ifstream file(path);
  return nlohmann::json::parse(file);
}

struct Sequence {
  std::vector<std::int32_t> ids;
  std::vector<std::int32_t>
      targets;  // shifted: targets[i] is what position i must predict, -1 when it is not supervised
};

inline std::string directory_of(const std::string& name) {
  return std::string(FTL_SOURCE_DIR) + "/tests/golden/data/" + name;
}

// Everything is loaded anew for each test: tests train models and adapters.
struct Case {
  explicit Case(const std::string& name)
      : directory(directory_of(name)),
        expected(read_json(directory + "/golden.json")),
        config(require(read_model_config(files, directory + "/model"))),
        model(require(Llama::load(*device, config, *require(open_safetensors(files, directory + "/model"))))),
        tensors(require(open_safetensors(files, directory + "/golden.safetensors"))) {
    for (const auto& sequence : expected["sequences"]) {
      const auto labels = sequence["labels"].get<std::vector<std::int32_t>>();
      Sequence shifted{sequence["ids"].get<std::vector<std::int32_t>>(), std::vector<std::int32_t>(labels.size(), -1)};
      for (std::size_t i = 1; i < labels.size(); ++i) shifted.targets[i - 1] = labels[i] == -100 ? -1 : labels[i];
      sequences.push_back(shifted);
    }
  }

  Adapter adapter(const std::string& name) {
    return require(read_peft_adapter(files, *device, directory + "/" + name, linear_modules(config)));
  }
  std::vector<float> tensor(const std::string& name) const {
    const TensorInfo* info = tensors->find(name);
    if (info == nullptr) throw std::runtime_error("no golden tensor " + name);
    std::vector<float> values(static_cast<std::size_t>(element_count(*info)));
    require(tensors->read_f32(name, values));
    return values;
  }

  PosixFiles files;
  std::unique_ptr<Device> device = require(make_cpu_device());
  std::unique_ptr<Stream> stream = require(device->make_stream(1));
  std::string directory;
  nlohmann::json expected;
  ModelConfig config;
  Llama model;
  std::unique_ptr<CheckpointReader> tensors;
  std::vector<Sequence> sequences;
};

// Written by make_goldens.py: two adapters, the gradients of all weights.
inline const char* const llama_cases[] = {"gqa_untied", "mha_tied", "gqa_tied_headdim"};
// Written by make_family_goldens.py: one adapter; the gradients of all weights where the architecture is another one.
inline const char* const family_cases[] = {"llama_biases", "qwen2", "qwen3", "gemma2", "gemma3"};
inline const char* const variant_cases[] = {"llama_linear", "llama_dynamic",  "llama_llama3",     "llama_yarn",
                                            "mistral",      "mistral_window", "qwen2_window_yarn"};

// Largest difference, relative to the largest magnitude of the reference.
inline double relative_difference(std::span<const float> ours, std::span<const float> theirs) {
  if (ours.size() != theirs.size()) return 1e9;
  double difference = 0, largest = 0;
  for (std::size_t i = 0; i < ours.size(); ++i) {
    const double gap = std::abs(static_cast<double>(ours[i]) - static_cast<double>(theirs[i]));
    if (!(gap <= difference)) difference = gap;  // NaN stays
    largest = std::max(largest, std::abs(static_cast<double>(theirs[i])));
  }
  return difference / largest;
}

}  // namespace ftl::golden
