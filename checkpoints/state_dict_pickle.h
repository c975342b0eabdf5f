// The pickle inside a file of torch.save, read as data: an interpreter of the few opcodes and names that a dictionary
// of tensors needs (pickletools; torch/serialization.py, torch/_utils.py). It calls nothing, imports nothing and makes
// no object but numbers, texts, tuples, lists, dictionaries, storages and tensors; everything else ends it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "failures/result.h"
#include "kernels/tensor_view.h"

namespace ftl {

struct PickledTensor {
  std::string name;     // key in the dictionary
  DType dtype;          // f32, f16 or bf16
  std::string storage;  // key of the storage: the member data/<key> of the archive
  std::int64_t storage_elements = 0;
  std::int64_t offset = 0;            // elements, within the storage
  std::vector<std::int64_t> shape;    // its size does not overflow
  std::vector<std::int64_t> strides;  // elements; every element lies within the storage
};

// In the dictionary's order, names unique. `name` is for messages. Failures: model_family_unsupported for an opcode or
// name that is not on the list (it is named with its offset) or a value that is no tensor, checkpoint_incomplete when
// the pickle ends early or contradicts itself.
Result<std::vector<PickledTensor>> read_state_dict_pickle(std::span<const std::byte> pickle, const std::string& name);

}  // namespace ftl
