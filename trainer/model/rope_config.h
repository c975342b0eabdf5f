// What a config.json says of rotary position embedding, in the layouts of transformers 4 (rope_theta and
// rope_local_base_freq at the top, scaling in rope_scaling) and 5 (all in rope_parameters, or one such object for each
// type of layer inside it).
#pragma once

#include "trainer/model/config_object.h"
#include "trainer/model/model_config.h"

namespace ftl {

struct RopeDefaults {
  double theta = 10000;
  double local_theta = 0;  // of sliding layers; 0: they turn like the others
};

// Fills config.rope and config.sliding_rope, from config.max_positions and config.head_dim; raises max_positions to
// what the stretched positions reach. What is wrong or not supported is remembered in `top`.
void read_rope(ConfigObject& top, const RopeDefaults& defaults, ModelConfig& config);

}  // namespace ftl
