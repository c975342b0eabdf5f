// A zip archive of stored members, made here so that tests can make bad ones (PKWARE APPNOTE 6.3.10).
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace ftl {

struct ZipOptions {
  std::uint16_t method = 0;
  bool zip64 = false;  // sizes and offsets in 64-bit fields
};

inline std::string zip_archive(const std::vector<std::pair<std::string, std::string>>& members,
                               ZipOptions options = {}) {
  std::string file, directory;
  const auto number = [](std::string& to, std::uint64_t value, int bytes) {
    for (int i = 0; i < bytes; ++i) to += static_cast<char>(value >> (8 * i));
  };
  for (const auto& [name, data] : members) {
    const std::uint64_t at = file.size(), size = options.zip64 ? 0xffffffff : data.size();
    file += "PK\x03\x04";
    for (const std::uint64_t field : {std::uint64_t{20}, std::uint64_t{0}, std::uint64_t{options.method}})
      number(file, field, 2);
    number(file, 0, 8);  // time, date, checksum
    number(file, size, 4);
    number(file, size, 4);
    number(file, name.size(), 2);
    number(file, 0, 2);
    file += name + data;
    directory += "PK\x01\x02";
    for (const std::uint64_t field :
         {std::uint64_t{20}, std::uint64_t{20}, std::uint64_t{0}, std::uint64_t{options.method}})
      number(directory, field, 2);
    number(directory, 0, 8);
    number(directory, size, 4);
    number(directory, size, 4);
    number(directory, name.size(), 2);
    number(directory, options.zip64 ? 28 : 0, 2);
    number(directory, 0, 10);  // comment, disk, attributes
    number(directory, options.zip64 ? 0xffffffff : at, 4);
    directory += name;
    if (!options.zip64) continue;
    number(directory, 1, 2);
    number(directory, 24, 2);
    for (const std::uint64_t field : {std::uint64_t{data.size()}, std::uint64_t{data.size()}, at})
      number(directory, field, 8);
  }
  const std::uint64_t begin = file.size(), size = directory.size();
  file += directory;
  if (options.zip64) {
    const std::uint64_t at = file.size();
    file += "PK\x06\x06";
    number(file, 44, 8);
    number(file, 0x002d002d, 4);
    number(file, 0, 8);
    for (const std::uint64_t field : {std::uint64_t{members.size()}, std::uint64_t{members.size()}, size, begin})
      number(file, field, 8);
    file += "PK\x06\x07";
    number(file, 0, 4);
    number(file, at, 8);
    number(file, 1, 4);
  }
  file += "PK\x05\x06";
  number(file, 0, 4);
  number(file, members.size(), 2);
  number(file, members.size(), 2);
  number(file, options.zip64 ? 0xffffffff : size, 4);
  number(file, options.zip64 ? 0xffffffff : begin, 4);
  number(file, 0, 2);
  return file;
}

}  // namespace ftl
