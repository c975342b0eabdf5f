// How much arithmetic a pass is, counted as the literature does: a multiplication with its addition is two operations,
// and only matrix products and attention count. What a causal mask hides is not counted, so a share of the processor's
// speed made from this is not flattered by work that was done in vain.
#pragma once

#include <cstdint>

#include "lora/adapter.h"
#include "trainer/model/model_config.h"

namespace ftl {

struct Arithmetic {
  double products = 0;   // floating-point operations of linear layers, adapters and the LM head
  double attention = 0;  // of scores, weighted sums and their gradients
  double all() const { return products + attention; }
};

// One sequence of `rows` tokens, `supervised` of which are targets, forward and backward. The backward pass goes down
// to the lowest adapted projection; without an adapter every weight has its gradient.
Arithmetic arithmetic_of_pass(const ModelConfig& config, const AdapterShape* adapter, std::int64_t rows,
                              std::int64_t supervised);

}  // namespace ftl
