// The pickle of a state dict. Accepted: tensors have names of their own, a size that does not overflow, and every
// element within their storage.
#include "checkpoints/state_dict_pickle.h"

#include <set>

#include "tests/fuzz/fuzz_target.h"

namespace ftl {
namespace {

bool run(std::string_view input) {
  const auto got = read_state_dict_pickle(std::as_bytes(std::span(input)), "data.pkl");
  if (!got) {
    must(!got.error().what.empty() && got.error().where == "data.pkl", "a refusal says why and where");
    must(got.error().what.size() < 600, "a refusal does not repeat the file");
    return false;
  }
  std::set<std::string> names;
  for (const PickledTensor& tensor : *got) {
    must(names.insert(tensor.name).second, "names are unique");
    must(tensor.shape.size() == tensor.strides.size() && tensor.shape.size() <= 8, "a stride for each dimension");
    std::int64_t bytes = size_in_bytes(tensor.dtype), last = tensor.offset;
    for (std::size_t i = 0; i < tensor.shape.size(); ++i) {
      must(tensor.shape[i] >= 0 && tensor.strides[i] >= 0, "nothing is negative");
      must(!__builtin_mul_overflow(bytes, tensor.shape[i], &bytes), "the size does not overflow");
      if (tensor.shape[i] > 0) last += (tensor.shape[i] - 1) * tensor.strides[i];
    }
    must(tensor.offset >= 0 && tensor.offset <= tensor.storage_elements, "it begins within its storage");
    must(bytes == 0 || last < tensor.storage_elements, "it ends within its storage");
  }
  return true;
}

const FuzzTarget target("state_dict_pickle", run);

}  // namespace
}  // namespace ftl
