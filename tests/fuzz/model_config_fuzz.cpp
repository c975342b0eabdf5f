// A model's config.json. Accepted: every size is positive, heads fit together, and the weights can be counted.
#include "trainer/model/model_config.h"

#include "tests/fuzz/fuzz_target.h"

namespace ftl {
namespace {

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
  must(c.rope_theta > 0 && c.rms_norm_epsilon > 0 && c.rms_norm_epsilon <= 1, "constants are in their ranges");
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
