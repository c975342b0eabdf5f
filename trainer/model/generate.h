// Continuing a text token by token with the key/value cache: greedy, or sampled from softmax(logits / temperature).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "failures/result.h"
#include "kernels/device.h"
#include "lora/adapter.h"
#include "trainer/model/llama.h"

namespace ftl {

struct GenerateOptions {
  std::int64_t max_new_tokens = 64;
  double temperature = 0;              // 0: greedy, the smallest id among equals
  std::uint64_t seed = 42;             // the token at position p is a function of (seed, p) and the logits
  std::vector<std::int32_t> stop_ids;  // generation ends before one of these
};

// The new ids, without the prompt and without the stop id. Ends early at the model's last position. `prompt` is not
// empty. sequence_exceeds_positions when the prompt alone is longer than the model's positions.
Result<std::vector<std::int32_t>> generate(Stream& stream, Llama& model, const Adapter* adapter,
                                           std::span<const std::int32_t> prompt, const GenerateOptions& options);

// Which id `logits` and a uniform number in [0, 1) choose.
std::int32_t choose_token(std::span<const float> logits, double temperature, double uniform);

}  // namespace ftl
