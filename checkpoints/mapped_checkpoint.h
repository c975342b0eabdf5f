// Tensors that lie in mapped files, and some in memory of the reader's own: what every format's reader becomes once its
// files are understood.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "checkpoints/reader.h"

namespace ftl {

class MappedCheckpoint final : public CheckpointReader {
 public:
  const std::vector<TensorInfo>& tensors() const override { return tensors_; }
  Result<std::span<const std::byte>> bytes(const std::string& name) const override;
  std::int64_t held_bytes() const override { return static_cast<std::int64_t>(held_bytes_); }

  // While it is made. Bytes must lie in a file that is kept, or in memory that was asked of hold(); names are unique.
  void add(TensorInfo info, std::span<const std::byte> bytes) { found_.emplace_back(std::move(info), bytes); }
  void keep(MappedFile file) { files_.push_back(std::move(file)); }
  std::span<std::byte> hold(std::size_t count);  // once, uninitialised
  void finish();                                 // after the last tensor

 private:
  std::vector<MappedFile> files_;
  std::unique_ptr<std::byte[]> held_;
  std::size_t held_bytes_ = 0;
  std::vector<std::pair<TensorInfo, std::span<const std::byte>>> found_;
  std::vector<TensorInfo> tensors_;
  std::vector<std::span<const std::byte>> spans_;  // of tensors_, in the same order
};

}  // namespace ftl
