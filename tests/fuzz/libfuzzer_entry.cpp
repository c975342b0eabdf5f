// What libFuzzer calls: the one target of this program.
#include <cstddef>
#include <cstdint>

#include "tests/fuzz/fuzz_target.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  (void)ftl::fuzz_targets().front()->run(std::string_view(reinterpret_cast<const char*>(data), size));
  return 0;
}
