#include "comm/fake/host_reduce.h"

#include <algorithm>
#include <cassert>

namespace ftl {

namespace {

template <class Number>
void reduce(const TensorView& total, const TensorView& part, ReduceOp op) {
  auto* to = static_cast<Number*>(total.data);
  const auto* from = static_cast<const Number*>(part.data);
  for (std::int64_t i = 0; i < total.count; ++i) {
    switch (op) {
      case ReduceOp::sum: to[i] = static_cast<Number>(to[i] + from[i]); break;
      case ReduceOp::max: to[i] = std::max(to[i], from[i]); break;
      case ReduceOp::min: to[i] = std::min(to[i], from[i]); break;
    }
  }
}

}  // namespace

bool can_reduce(DType dtype) { return dtype != DType::bf16 && dtype != DType::f16; }

void reduce_into(const TensorView& total, const TensorView& part, ReduceOp op) {
  assert(total.count == part.count && total.dtype == part.dtype && can_reduce(total.dtype));
  switch (total.dtype) {
    case DType::f32: return reduce<float>(total, part, op);
    case DType::i32: return reduce<std::int32_t>(total, part, op);
    case DType::i64: return reduce<std::int64_t>(total, part, op);
    case DType::u8: return reduce<std::uint8_t>(total, part, op);
    case DType::bf16:
    case DType::f16: return;
  }
}

}  // namespace ftl
