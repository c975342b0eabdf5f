#include "trainer/platform.h"

#include <fmt/format.h>
#include <xxhash.h>

namespace ftl {

Result<std::string> platform_of(Files& files, const Device& device, const std::string& executable) {
  const Result<MappedFile> file = files.map(executable);
  if (!file) return file.error();
  const DeviceTraits& traits = device.traits();
  return fmt::format("{}{}{}, fttrain {:016x}", traits.library, traits.library.empty() ? "" : ", ",
                     traits.instruction_set, XXH3_64bits(file->bytes.data(), file->bytes.size()));
}

}  // namespace ftl
