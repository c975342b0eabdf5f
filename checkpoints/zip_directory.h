// Where the members of a zip archive lie (PKWARE APPNOTE 6.3.10, sections 4.3 and 4.5.3), for archives that torch.save
// writes: every member stored, none compressed or encrypted, so that it is used where the file is mapped. A reader of
// our own because that, and refusing everything else, is all that is needed: zip libraries copy what they read.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "failures/result.h"

namespace ftl {

struct ZipMember {
  std::string name;
  std::span<const std::byte> bytes;  // within the file
};

bool looks_like_zip(std::span<const std::byte> file);

// Members sorted by name. Every offset is checked against the file, in the directory and in the member's own header;
// zip64 is read. Checksums are not: writers of torch may be told to leave them out (set_crc32_options).
// Failure kind checkpoint_incomplete; `name` is for messages.
Result<std::vector<ZipMember>> read_zip_directory(std::span<const std::byte> file, const std::string& name);

}  // namespace ftl
