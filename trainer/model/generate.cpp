#include "trainer/model/generate.h"

#include <algorithm>
#include <cassert>
#include <cmath>

#include <fmt/format.h>

#include "lora/philox.h"
#include "trainer/model/workspace.h"

namespace ftl {

std::int32_t choose_token(std::span<const float> logits, double temperature, double uniform) {
  assert(!logits.empty());
  const auto largest = std::max_element(logits.begin(), logits.end());
  const auto best = static_cast<std::int32_t>(largest - logits.begin());
  if (!(temperature > 0)) return best;
  const auto weight = [&](float logit) {
    return std::exp((static_cast<double>(logit) - static_cast<double>(*largest)) / temperature);
  };
  double total = 0;
  for (const float logit : logits) total += weight(logit);
  double below = 0;
  for (std::size_t i = 0; i < logits.size(); ++i) {
    below += weight(logits[i]);
    if (uniform * total < below) return static_cast<std::int32_t>(i);
  }
  return best;  // only when the logits are not finite
}

Result<std::vector<std::int32_t>> generate(Stream& stream, Llama& model, const Adapter* adapter,
                                           std::span<const std::int32_t> prompt, const GenerateOptions& options) {
  assert(!prompt.empty());
  const ModelConfig& config = model.config();
  const auto given = static_cast<std::int64_t>(prompt.size());
  if (given > config.max_positions) {
    return Failure{
        FaultKind::sequence_exceeds_positions,
        fmt::format("the prompt has {} tokens, the model was made for {} positions", given, config.max_positions), "",
        "shorten the prompt"};
  }
  const std::int64_t most = std::min(options.max_new_tokens, config.max_positions - given + 1);
  auto workspace = model.make_workspace(given + std::max<std::int64_t>(0, most - 1), false,
                                        adapter == nullptr ? nullptr : &adapter->shape());
  if (!workspace) return workspace.error();
  std::vector<float> logits(static_cast<std::size_t>(config.vocabulary));
  std::vector<std::int32_t> made;
  std::vector<std::int32_t> fed(prompt.begin(), prompt.end());
  std::int64_t position = 0;
  while (static_cast<std::int64_t>(made.size()) < most) {
    if (auto decoded = model.decode(stream, **workspace, adapter, fed, position, logits); !decoded)
      return decoded.error();
    position += static_cast<std::int64_t>(fed.size());
    const auto words =
        philox4x32({static_cast<std::uint32_t>(position), 0, 0, static_cast<std::uint32_t>(RandomPurpose::sampling)},
                   philox_key(options.seed));
    const std::int32_t next = choose_token(logits, options.temperature, open_uniform(words[0]));
    if (std::find(options.stop_ids.begin(), options.stop_ids.end(), next) != options.stop_ids.end()) break;
    made.push_back(next);
    fed.assign(1, next);
  }
  return made;
}

}  // namespace ftl
