// Element-wise reductions of host views in the order of the members, for the fake world.
#pragma once

#include "comm/communicator.h"

namespace ftl {

bool can_reduce(DType dtype);  // f32, i32, i64 and u8
// total = total (op) part, element by element; both of the same dtype and count.
void reduce_into(const TensorView& total, const TensorView& part, ReduceOp op);

}  // namespace ftl
