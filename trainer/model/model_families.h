// The families of decoder-only models that are known: what a config.json of each means where it is silent, and what its
// architecture does differently from Llama's. A new family is one more row of the table.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "trainer/model/config_object.h"
#include "trainer/model/model_config.h"
#include "trainer/model/rope_config.h"

namespace ftl {

enum class Biases : std::uint8_t {
  none,
  query_key_value,     // always
  attention_if_asked,  // "attention_bias": q, k, v and o
  if_asked             // that, and "mlp_bias": gate, up and down
};

// Which layers see a window only.
enum class SlidingLayers : std::uint8_t {
  none,
  all,                       // where "sliding_window" is not null
  from_max_window_layers,    // where "use_sliding_window" is true; or "layer_types"
  all_but_every_second,      // or "layer_types"
  all_but_last_of_a_pattern  // of "sliding_window_pattern" layers, 6; or "layer_types"
};

struct ModelFamily {
  std::string_view model_type;
  std::int64_t kv_heads = 0;  // 0: as many as heads
  std::int64_t head_dim = 0;  // 0: hidden_size / num_attention_heads
  std::int64_t max_positions = 0;
  RopeDefaults rope = {};
  bool tied_embeddings = false;
  const char* activation_key = "hidden_act";
  Activation activation = Activation::silu;
  Biases biases = Biases::none;
  SlidingLayers sliding = SlidingLayers::none;
  bool qk_norm = false;
  // Gemma's: gains are 1 + weight, embeddings are scaled, scores are scaled by query_pre_attn_scalar and may be capped,
  // and what attention and feed-forward block add to the stream is normed.
  bool gemma = false;
  double attention_soft_cap = 0, logit_soft_cap = 0;  // Gemma's, where config.json is silent; 0: none
};

// Null when there is none of that "model_type".
const ModelFamily* find_family(std::string_view model_type);
// "llama, mistral, ...", for messages.
std::string family_names();

// Fills everything in `config` but its sizes, which it reads. What is wrong or not supported is remembered in `top`.
void read_traits(ConfigObject& top, const ModelFamily& family, ModelConfig& config);

}  // namespace ftl
