// Named tensors of a checkpoint, whatever its files look like. Seam: safetensors (single file or sharded with an index)
// here, Meta's .pth in meta_checkpoint.h, memory in tests.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "checkpoints/files.h"
#include "failures/result.h"
#include "kernels/tensor_view.h"

namespace ftl {

struct TensorInfo {
  std::string name;
  DType dtype;
  std::vector<std::int64_t> shape;  // row-major; empty = scalar
  std::string file;                 // for messages
  std::string unsupported_dtype =
      {};  // "F64", ...: legal in the file but not in DType; `dtype` is then u8 and means nothing
};
std::int64_t element_count(const TensorInfo& tensor);

class CheckpointReader {
 public:
  virtual ~CheckpointReader() = default;
  virtual const std::vector<TensorInfo>& tensors() const = 0;  // sorted by name
  const TensorInfo* find(const std::string& name) const;
  // The stored bytes, valid as long as the reader (mapped, or held by it). checkpoint_incomplete when there is no such
  // tensor, model_family_unsupported when its dtype is none of ours.
  virtual Result<std::span<const std::byte>> bytes(const std::string& name) const = 0;
  // Bytes of tensors that the reader holds in memory itself, because they lie nowhere in a file as they are used: they
  // are a rank's own, where mapped ones are shared by all ranks of a node.
  virtual std::int64_t held_bytes() const { return 0; }
  // Converted to float32 (exact for f32, bf16, f16). `into` has element_count elements.
  Result<Done> read_f32(const std::string& name, std::span<float> into) const;
};

// `path`: a .safetensors file, or a Hugging Face model directory (model.safetensors, or model.safetensors.index.json
// and shards).
Result<std::unique_ptr<CheckpointReader>> open_safetensors(Files& files, const std::string& path);

}  // namespace ftl
