// model.safetensors.index.json of a sharded Hugging Face checkpoint: which file holds which tensor (transformers,
// save_pretrained). Nothing in it is trusted: a name that leaves the directory, or a tensor named twice, is refused.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "failures/result.h"

namespace ftl {

struct ShardIndex {
  std::map<std::string, std::vector<std::string>> shards;  // file name -> its tensors, sorted; neither is empty
  // Bytes of all tensors as "metadata" says. Informative: tools that merge or tie weights leave the number of another
  // model there, and every tensor and every byte of a shard is checked by stricter means.
  std::optional<std::int64_t> total_size;
};

// `name` is for messages. Failure kind safetensors_corrupt.
Result<ShardIndex> parse_shard_index(const std::string& text, const std::string& name);

}  // namespace ftl
