// A view of elements on a device: where they are, what they are, how many. It owns nothing.
#pragma once

#include <cstddef>
#include <cstdint>

namespace ftl {

enum class DType : std::uint8_t { f32, bf16, f16, i32, i64, u8 };

constexpr std::int64_t size_in_bytes(DType dtype) {
  switch (dtype) {
    case DType::f32:
    case DType::i32: return 4;
    case DType::bf16:
    case DType::f16: return 2;
    case DType::i64: return 8;
    case DType::u8: return 1;
  }
  return 0;
}
constexpr const char* name_of(DType dtype) {
  switch (dtype) {
    case DType::f32: return "f32";
    case DType::bf16: return "bf16";
    case DType::f16: return "f16";
    case DType::i32: return "i32";
    case DType::i64: return "i64";
    case DType::u8: return "u8";
  }
  return "?";
}

enum class Place : std::uint8_t { host, cuda };

struct TensorView {
  void* data = nullptr;    // in memory of `place`
  std::int64_t count = 0;  // elements, contiguous
  DType dtype = DType::f32;
  Place place = Place::host;
  std::int64_t bytes() const { return count * size_in_bytes(dtype); }
};

}  // namespace ftl
