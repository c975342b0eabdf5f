// params.json of a Meta checkpoint. Accepted: sizes are positive and bounded, heads fit together.
#include "trainer/model/meta_params.h"

#include "tests/fuzz/fuzz_target.h"

namespace ftl {
namespace {

bool run(std::string_view input) {
  const Result<ModelConfig> got = parse_meta_params(std::string(input), "params.json");
  if (!got) {
    must(!got.error().what.empty() && got.error().where == "params.json", "a refusal says why and where");
    return false;
  }
  const ModelConfig& c = *got;
  for (const std::int64_t size : {c.width, c.ffn_width, c.layers, c.heads, c.kv_heads, c.head_dim, c.max_positions})
    must(size >= 1 && size <= std::int64_t{1} << 20, "sizes are positive and bounded");
  must(c.vocabulary >= 0 && c.vocabulary <= std::int64_t{1} << 24, "the vocabulary is bounded");
  must(c.heads % c.kv_heads == 0 && c.head_dim % 2 == 0 && c.heads * c.head_dim == c.width, "heads fit together");
  must(c.rope.theta > 0 && c.rms_norm_epsilon > 0 && c.rms_norm_epsilon <= 1, "constants are in their ranges");
  return true;
}

const FuzzTarget target("meta_params", run);

}  // namespace
}  // namespace ftl
