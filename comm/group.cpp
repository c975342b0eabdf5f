#include "comm/group.h"

namespace ftl {

Group world_group(WorldSize world) {
  Group group;
  group.members.reserve(static_cast<std::size_t>(world.value));
  for (std::int32_t rank = 0; rank < world.value; ++rank) group.members.push_back(Rank{rank});
  return group;
}

}  // namespace ftl
