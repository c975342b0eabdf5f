// A model's config.json. Accepted: every size is positive, heads fit together, and the weights can be counted.
#include "trainer/model/model_config.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "tests/fuzz/fuzz_target.h"

namespace ftl {
namespace {

// Of short sequences and of the longest; big heads are cut short, their angles are nothing new.
void require_angles(const RopeParameters& rope, std::int64_t head_dim) {
  must(rope.theta > 0 && std::isfinite(rope.magnitude), "constants of RoPE are in their ranges");
  std::vector<double> inverse(static_cast<std::size_t>(std::min<std::int64_t>(head_dim, 4096)) / 2);
  for (const std::int64_t length : {std::int64_t{1}, std::int64_t{1} << 30}) {
    rope_frequencies(rope, length, inverse);
    for (const double frequency : inverse) must(std::isfinite(frequency) && frequency >= 0, "angles are numbers");
  }
}

bool run(std::string_view input) {
  const Result<ModelConfig> got = parse_model_config(std::string(input), "config.json");
  if (!got) {
    must(!got.error().what.empty() && got.error().where == "config.json", "a refusal says why and where");
    return false;
  }
  const ModelConfig& c = *got;
  for (const std::int64_t size :
       {c.vocabulary, c.width, c.ffn_width, c.layers, c.heads, c.kv_heads, c.head_dim, c.max_positions}) {
    must(size >= 1 && size <= std::int64_t{1} << 30, "sizes are positive and bounded");
  }
  must(c.heads % c.kv_heads == 0 && c.head_dim % 2 == 0, "heads fit together");
  must(c.rms_norm_epsilon > 0 && c.rms_norm_epsilon <= 1 && c.embedding_scale >= 1 && c.query_scalar >= 0 &&
           c.attention_soft_cap >= 0 && c.logit_soft_cap >= 0,
       "constants are in their ranges");
  must(c.window >= 0 && (c.window > 0 || c.sliding_layers.empty()), "layers slide in a window");
  must(c.sliding_layers.empty() || c.sliding_layers.size() == static_cast<std::size_t>(c.layers),
       "every layer is told");
  require_angles(c.rope, c.head_dim);
  require_angles(c.sliding_rope, c.head_dim);
  if (c.layers > 64) return true;  // the lists below are long then, and nothing new
  std::int64_t count = 0;
  for (const WeightShape& weight : weight_shapes(c)) {
    std::int64_t product = 1;
    for (const std::int64_t extent : weight.shape)
      must(extent >= 1 && !__builtin_mul_overflow(product, extent, &product), "a weight's size does not overflow");
    must(!__builtin_add_overflow(count, product, &count), "the number of weights does not overflow");
  }
  must(count == weight_count(c), "weights are counted");
  must(linear_modules(c).size() == static_cast<std::size_t>(7 * c.layers), "a layer has seven linear modules");
  return true;
}

const FuzzTarget target("model_config", run);

}  // namespace
}  // namespace ftl
