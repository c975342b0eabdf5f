#include "tests/fuzz/fuzz_target.h"

namespace ftl {

FuzzTarget::FuzzTarget(const char* target_name, bool (*function)(std::string_view)) : name(target_name), run(function) {
  fuzz_targets().push_back(this);
}

std::vector<const FuzzTarget*>& fuzz_targets() {
  static std::vector<const FuzzTarget*> targets;
  return targets;
}

}  // namespace ftl
