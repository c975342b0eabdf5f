// The architecture of a decoder-only model, read from a Hugging Face config.json (v4 and v5 layouts). Families differ
// in traits, which the passes follow; model_families.h has the table.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "checkpoints/files.h"
#include "failures/result.h"
#include "lora/adapter.h"
#include "trainer/model/rope_frequencies.h"

namespace ftl {

// What gates the feed-forward block.
enum class Activation : std::uint8_t { silu, gelu_tanh };

struct ModelConfig {
  std::string family;  // "llama": config.json's model_type
  std::int64_t vocabulary = 0;
  std::int64_t width = 0;      // hidden_size
  std::int64_t ffn_width = 0;  // intermediate_size
  std::int64_t layers = 0;
  std::int64_t heads = 0;
  std::int64_t kv_heads = 0;
  std::int64_t head_dim = 0;
  std::int64_t max_positions = 0;
  RopeParameters rope = {};
  double rms_norm_epsilon = 1e-5;
  bool tied_embeddings = false;

  Activation activation = Activation::silu;
  bool qkv_bias = false, output_bias = false, mlp_bias = false;  // of the linear layers
  bool qk_norm = false;                                          // every head of q and k is normed before it is rotated
  bool post_norms = false;        // what attention and feed-forward block add to the stream is normed
  double norm_offset = 0;         // gains are norm_offset + weight
  double embedding_scale = 1;     // embeddings are multiplied by it, as a float32
  double query_scalar = 0;        // scores are divided by its root; 0: by that of head_dim
  double attention_soft_cap = 0;  // of scores; 0: none
  double logit_soft_cap = 0;      // 0: none
  std::int64_t window = 0;        // positions that a sliding layer sees, the query's own among them; 0: none slides
  std::vector<bool> sliding_layers = {};  // one a layer, or empty: none
  RopeParameters sliding_rope = {};       // of sliding layers

  std::int64_t query_width() const { return heads * head_dim; }
  std::int64_t kv_width() const { return kv_heads * head_dim; }
  double attention_scale() const;
  // Of the module'th linear layer of a layer, in the order of linear_modules().
  bool has_bias(std::size_t module) const;
  bool is_sliding(std::size_t layer) const { return layer < sliding_layers.size() && sliding_layers[layer]; }
  std::int64_t window_of(std::size_t layer) const { return is_sliding(layer) ? window : 0; }  // 0: sees everything
  // Whether sliding layers need tables of angles of their own.
  bool has_sliding_rope() const { return window > 0 && sliding_rope != rope; }
};

// A weight as the checkpoint names it.
struct WeightShape {
  std::string name;
  std::vector<std::int64_t> shape;
};
// Every tensor the architecture calls for, sorted by name (byte order, as std::string compares). Vectors are gains and
// biases.
std::vector<WeightShape> weight_shapes(const ModelConfig& config);
// Every linear layer that can carry an adapter, in the order of PyTorch's named_modules(). The output embedding is none
// of them.
std::vector<LinearModule> linear_modules(const ModelConfig& config);
// Values of all weights together.
std::int64_t weight_count(const ModelConfig& config);
// The norms of a layer as the checkpoint names them; null: there is none. A name may mean another norm elsewhere:
// "post_attention_layernorm" is that before the feed-forward block in Llama, that behind attention in Gemma.
struct NormNames {
  const char* before_attention;
  const char* after_attention;
  const char* before_mlp;
  const char* after_mlp;
};
NormNames norm_names(const ModelConfig& config);

// All of it in one line: two models of the same text and the same weights compute the same.
std::string text_of(const ModelConfig& config);

// Kinds: file_not_found, model_config_invalid, model_family_unsupported. Every size is checked against sane limits.
Result<ModelConfig> read_model_config(Files& files, const std::string& model_directory);
Result<ModelConfig> parse_model_config(const std::string& json, const std::string& name);

}  // namespace ftl
