#include "checkpoints/mapped_checkpoint.h"

#include <algorithm>

#include <fmt/format.h>

namespace ftl {

Result<std::span<const std::byte>> MappedCheckpoint::bytes(const std::string& name) const {
  const TensorInfo* tensor = find(name);
  if (tensor == nullptr)
    return Failure{FaultKind::checkpoint_incomplete, fmt::format("the checkpoint has no tensor \"{}\"", name), "", ""};
  if (!tensor->unsupported_dtype.empty()) {
    return Failure{
        FaultKind::model_family_unsupported,
        fmt::format("tensor \"{}\" has the dtype {}; F32, BF16 and F16 are supported", name, tensor->unsupported_dtype),
        tensor->file, "use the weights in BF16, F16 or F32"};
  }
  return spans_[static_cast<std::size_t>(tensor - tensors_.data())];
}

std::span<std::byte> MappedCheckpoint::hold(std::size_t count) {
  held_ = std::make_unique_for_overwrite<std::byte[]>(count);
  held_bytes_ = count;
  return {held_.get(), count};
}

void MappedCheckpoint::finish() {
  std::sort(found_.begin(), found_.end(), [](const auto& a, const auto& b) { return a.first.name < b.first.name; });
  for (auto& [info, span] : found_) {
    tensors_.push_back(std::move(info));
    spans_.push_back(span);
  }
  found_.clear();
}

}  // namespace ftl
