// The index of a sharded checkpoint. Accepted: it names files beside it and nothing else, and no tensor twice.
#include "checkpoints/shard_index.h"

#include <set>

#include "tests/fuzz/fuzz_target.h"

namespace ftl {
namespace {

bool run(std::string_view input) {
  const Result<ShardIndex> got = parse_shard_index(std::string(input), "index.json");
  if (!got) {
    must(got.error().kind == FaultKind::safetensors_corrupt && !got.error().what.empty(), "a refusal says why");
    return false;
  }
  std::set<std::string> names;
  must(!got->shards.empty(), "there are shards");
  must(!got->total_size || *got->total_size >= 0, "sizes are not negative");
  for (const auto& [file, tensors] : got->shards) {
    must(!file.empty() && file != "." && file != ".." && file.find('/') == std::string::npos, "files lie beside it");
    must(!tensors.empty(), "a shard has tensors");
    for (const std::string& tensor : tensors) must(names.insert(tensor).second, "a tensor is named once");
  }
  return true;
}

const FuzzTarget target("shard_index", run);

}  // namespace
}  // namespace ftl
