#include <algorithm>
#include <bit>
#include <cstring>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "checkpoints/safetensors.h"

namespace ftl {
namespace {

static_assert(std::endian::native == std::endian::little,
              "safetensors is little-endian, and tensors are written as they lie in memory");

// The place of a dtype in the reference implementation's enum, which its writer sorts by.
int reference_order(DType dtype) {
  switch (dtype) {
    case DType::u8: return 0;
    case DType::f16: return 1;
    case DType::bf16: return 2;
    case DType::i32: return 3;
    case DType::f32: return 4;
    case DType::i64: return 5;
  }
  return -1;
}

const char* format_name(DType dtype) {
  switch (dtype) {
    case DType::u8: return "U8";
    case DType::f16: return "F16";
    case DType::bf16: return "BF16";
    case DType::i32: return "I32";
    case DType::f32: return "F32";
    case DType::i64: return "I64";
  }
  return "?";
}

std::string json_text(const std::string& text) {
  return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

Failure not_writable(const TensorToWrite& tensor, const std::string& why) {
  return {FaultKind::internal_error, fmt::format("tensor {} cannot be written: {}", json_text(tensor.name), why), "",
          ""};
}

}  // namespace

std::vector<std::span<const std::byte>> SafetensorsImage::parts() const {
  std::vector<std::span<const std::byte>> all = {std::as_bytes(std::span(header))};
  all.insert(all.end(), data.begin(), data.end());
  return all;
}

Result<SafetensorsImage> lay_out_safetensors(std::vector<TensorToWrite> tensors,
                                             const std::map<std::string, std::string>& metadata) {
  std::sort(tensors.begin(), tensors.end(), [](const TensorToWrite& a, const TensorToWrite& b) {
    const int left = reference_order(a.dtype), right = reference_order(b.dtype);
    return left != right ? left > right : a.name < b.name;
  });
  std::string json = "{";
  if (!metadata.empty()) {
    json += "\"__metadata__\":{";
    for (const auto& [key, value] : metadata)
      json += (json.back() == '{' ? "" : ",") + json_text(key) + ":" + json_text(value);
    json += "}";
  }
  SafetensorsImage image;
  std::vector<std::string> names;
  std::size_t offset = 0;
  for (const TensorToWrite& tensor : tensors) {
    std::int64_t bytes = size_in_bytes(tensor.dtype);
    for (std::int64_t extent : tensor.shape) {
      if (extent < 0 || __builtin_mul_overflow(bytes, extent, &bytes))
        return not_writable(tensor, "its shape is impossible");
    }
    if (static_cast<std::size_t>(bytes) != tensor.bytes.size()) {
      return not_writable(tensor, fmt::format("its shape needs {} bytes, it has {}", bytes, tensor.bytes.size()));
    }
    json += fmt::format("{}{}:{{\"dtype\":\"{}\",\"shape\":[{}],\"data_offsets\":[{},{}]}}",
                        json.size() == 1 ? "" : ",", json_text(tensor.name), format_name(tensor.dtype),
                        fmt::join(tensor.shape, ","), offset, offset + tensor.bytes.size());
    offset += tensor.bytes.size();
    if (!tensor.bytes.empty()) image.data.push_back(tensor.bytes);
    names.push_back(tensor.name);
  }
  std::sort(names.begin(), names.end());
  const auto twice = std::adjacent_find(names.begin(), names.end());
  if (twice != names.end())
    return Failure{FaultKind::internal_error, fmt::format("tensor {} is to be written twice", json_text(*twice)), "",
                   ""};
  json += "}";
  json.resize((json.size() + 7) / 8 * 8, ' ');
  const std::uint64_t length = json.size();
  image.header.assign(reinterpret_cast<const char*>(&length), sizeof length);
  image.header += json;
  return image;
}

Result<Done> write_safetensors(Files& files, const std::string& path, std::vector<TensorToWrite> tensors,
                               const std::map<std::string, std::string>& metadata) {
  const Result<SafetensorsImage> image = lay_out_safetensors(std::move(tensors), metadata);
  if (!image) return image.error();
  return files.write(path, image->parts());
}

}  // namespace ftl
