// The architecture of a decoder-only model, read from a Hugging Face config.json (v4 and v5 layouts).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "checkpoints/files.h"
#include "failures/result.h"
#include "lora/adapter.h"

namespace ftl {

struct ModelConfig {
  std::string family;  // "llama"
  std::int64_t vocabulary = 0;
  std::int64_t width = 0;      // hidden_size
  std::int64_t ffn_width = 0;  // intermediate_size
  std::int64_t layers = 0;
  std::int64_t heads = 0;
  std::int64_t kv_heads = 0;
  std::int64_t head_dim = 0;
  std::int64_t max_positions = 0;
  double rope_theta = 10000;
  double rms_norm_epsilon = 1e-5;
  bool tied_embeddings = false;

  std::int64_t query_width() const { return heads * head_dim; }
  std::int64_t kv_width() const { return kv_heads * head_dim; }
};

// A weight as the checkpoint names it.
struct WeightShape {
  std::string name;
  std::vector<std::int64_t> shape;
};
// Every tensor the architecture calls for, sorted by name (byte order, as std::string compares).
std::vector<WeightShape> weight_shapes(const ModelConfig& config);
// Every linear layer that can carry an adapter, in the order of PyTorch's named_modules(). The output embedding is none
// of them.
std::vector<LinearModule> linear_modules(const ModelConfig& config);
// Values of all weights together.
std::int64_t weight_count(const ModelConfig& config);

// Kinds: file_not_found, model_config_invalid, model_family_unsupported. Every size is checked against sane limits.
Result<ModelConfig> read_model_config(Files& files, const std::string& model_directory);
Result<ModelConfig> parse_model_config(const std::string& json, const std::string& name);

}  // namespace ftl
