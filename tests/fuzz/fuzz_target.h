// A fuzz target: a function that gives a stranger's bytes to one parser and holds it to its promises. The fuzz preset
// links each with libFuzzer; every ordinary build feeds the corpora beside it to all of them (fuzz_corpus_test).
#pragma once

#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace ftl {

struct FuzzTarget {
  // `name` is also that of its corpus directory. Registers itself; one in a source file, at namespace scope.
  FuzzTarget(const char* name, bool (*run)(std::string_view input));
  const char* name;
  bool (*run)(std::string_view input);  // whether the parser took it; throws when a promise is broken
};

std::vector<const FuzzTarget*>& fuzz_targets();  // those that are linked in

inline void must(bool holds, const std::string& promise) {
  if (!holds) throw std::logic_error("broken: " + promise);
}

}  // namespace ftl
