// Which ranks take part in a collective.
#pragma once

#include <vector>

#include "comm/rank.h"

namespace ftl {

// Ranks of the world in ascending order, each once. Two groups are the same group when their members are equal.
struct Group {
  std::vector<Rank> members;
  friend bool operator==(const Group&, const Group&) = default;
};

Group world_group(WorldSize world);

}  // namespace ftl
