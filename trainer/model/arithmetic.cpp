#include "trainer/model/arithmetic.h"

#include <algorithm>
#include <string>
#include <vector>

namespace ftl {
namespace {

// Of a product [m, k] x [k, n].
double operations(std::int64_t m, std::int64_t n, std::int64_t k) {
  return 2.0 * static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(k);
}

// Where the backward pass stops: projections of a layer that read the same input are one stage (q k v, o, gate up,
// down).
struct Depth {
  std::size_t layer = 0;
  int stage = 0;
  auto operator<=>(const Depth&) const = default;
};
Depth depth_of(std::size_t module) {
  constexpr int stage_of[] = {0, 0, 0, 1, 2, 2, 3};
  return {module / std::size(stage_of), stage_of[module % std::size(stage_of)]};
}

// Each row sees itself and what is before it, in a window only the last `window` of them.
double seen_pairs(std::int64_t rows, std::int64_t window) {
  const auto up_to = [](std::int64_t count) { return static_cast<double>(count) * static_cast<double>(count + 1) / 2; };
  if (window == 0 || rows <= window) return up_to(rows);
  return up_to(window) + static_cast<double>(rows - window) * static_cast<double>(window);
}

}  // namespace

Arithmetic arithmetic_of_pass(const ModelConfig& config, const AdapterShape* adapter, std::int64_t rows,
                              std::int64_t supervised) {
  const std::vector<LinearModule> modules = linear_modules(config);
  const auto is_adapted = [&](const LinearModule& module) {
    return adapter != nullptr &&
           std::ranges::find(adapter->modules, module.name, &LinearModule::name) != adapter->modules.end();
  };
  // Everything is trained without an adapter: the embedding, below all layers, too.
  const bool full = adapter == nullptr;
  const auto lowest_module = std::ranges::find_if(modules, is_adapted);
  const Depth lowest = depth_of(static_cast<std::size_t>(lowest_module - modules.begin()));

  Arithmetic sum;
  const double head = operations(supervised, config.vocabulary, config.width);
  sum.products += (full ? 3 : 2) * head;
  for (std::size_t i = 0; i < modules.size(); ++i) {
    const LinearModule& module = modules[i];
    const double product = operations(rows, module.out, module.in);
    const bool has_gradient_below = full || depth_of(i) > lowest;
    sum.products += (1.0 + (has_gradient_below ? 1 : 0) + (full ? 1 : 0)) * product;
    if (!is_adapted(module)) continue;
    const double into = operations(rows, adapter->options.rank, module.in),
                 out_of = operations(rows, adapter->options.rank, module.out);
    sum.products += 2 * into + 3 * out_of + (has_gradient_below ? into : 0);
  }
  // Two products forward, five backward (scores are made again).
  for (std::size_t layer = 0; layer < static_cast<std::size_t>(config.layers); ++layer) {
    const double product = 2 * static_cast<double>(config.query_width()) * seen_pairs(rows, config.window_of(layer));
    sum.attention += (full || Depth{layer, 1} > lowest ? 7 : 2) * product;
  }
  return sum;
}

}  // namespace ftl
