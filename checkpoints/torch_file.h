// A file of torch.save: a zip archive of <root>/data.pkl, which describes tensors, and <root>/data/<key>, their
// storages (torch/serialization.py). Tensors are used where the file is mapped.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "checkpoints/files.h"
#include "checkpoints/reader.h"
#include "failures/result.h"

namespace ftl {

struct TorchTensor {
  TensorInfo info;
  std::span<const std::byte> bytes;  // row-major; aligned as the file has it
};
struct TorchFile {
  MappedFile file;                   // owns the bytes
  std::vector<TorchTensor> tensors;  // sorted by name
};

// Failures: file_not_found; checkpoint_incomplete for a truncated or damaged file and for a git-lfs pointer;
// model_family_unsupported for what a dictionary of contiguous float tensors does not need (state_dict_pickle.h), the
// format before torch 1.6, and TorchScript.
Result<TorchFile> open_torch_file(Files& files, const std::string& path);
// `file` is the whole file, and outlives the tensors.
Result<std::vector<TorchTensor>> parse_torch_file(std::span<const std::byte> file, const std::string& name);

}  // namespace ftl
