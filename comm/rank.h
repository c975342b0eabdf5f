// Who a process is within a run. A rank is not a size and a step is not a count, so neither can be passed for the
// other.
#pragma once

#include <compare>
#include <cstdint>

namespace ftl {

template <class Tag, class Number>
struct Strong {
  Number value{};
  constexpr Strong() = default;
  constexpr explicit Strong(Number v) : value(v) {}
  friend constexpr auto operator<=>(Strong, Strong) = default;
};

using Rank = Strong<struct RankTag, std::int32_t>;            // 0-based, within the world
using WorldSize = Strong<struct WorldSizeTag, std::int32_t>;  // number of ranks
using Step = Strong<struct StepTag, std::int64_t>;            // completed optimizer steps
using Attempt = Strong<struct AttemptTag, std::int32_t>;      // 1-based; fences everything an attempt writes

}  // namespace ftl
