// Meta's own Llama checkpoints: consolidated.00.pth, .01.pth, ... , one file a model-parallel rank (meta-llama/llama,
// fairscale's parallel layers), read as one checkpoint under Hugging Face's names.
//
// Meta's RoPE turns neighbours (2i, 2i + 1) of a head, Hugging Face's turns (i, i + head_dim / 2); so rows of wq and wk
// are put in the other order (transformers, convert_llama_weights_to_hf.py, permute). Those, and every tensor that is
// split over files, are copied once into memory of the reader; all others are used where their file is mapped.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "checkpoints/files.h"
#include "checkpoints/reader.h"
#include "failures/result.h"

namespace ftl {

// What params.json says, as Hugging Face counts it.
struct MetaShape {
  std::int64_t vocabulary = 0;  // 0: as many as the tensors have
  std::int64_t width = 0;
  std::int64_t ffn_width = 0;
  std::int64_t layers = 0;
  std::int64_t heads = 0;
  std::int64_t kv_heads = 0;
  std::int64_t head_dim = 0;  // even
};

// Whether the directory has params.json and no config.json.
bool is_meta_directory(Files& files, const std::string& directory);

// Failures: those of open_torch_file; checkpoint_incomplete for missing parts ("consolidated.03.pth of 8"), and tensors
// that are missing or have another shape; model_family_unsupported for tensors that no Llama has.
Result<std::unique_ptr<CheckpointReader>> open_meta_checkpoint(Files& files, const std::string& directory,
                                                               const MetaShape& shape);

// The same checks and no copy: what the reader would have, in no order.
Result<std::vector<TensorInfo>> tensors_of_meta_checkpoint(Files& files, const std::string& directory,
                                                           const MetaShape& shape);

// Rows of the output layer over all parts: the vocabulary, where params.json leaves it to the tokenizer.
Result<std::int64_t> vocabulary_of_meta_checkpoint(Files& files, const std::string& directory, const MetaShape& shape);

}  // namespace ftl
