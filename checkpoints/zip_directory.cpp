#include "checkpoints/zip_directory.h"

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string_view>

#include <fmt/format.h>

#include "checkpoints/printable.h"

namespace ftl {
namespace {

static_assert(std::endian::native == std::endian::little, "zip fields are little-endian and read as they lie");

constexpr std::uint32_t local_signature = 0x04034b50, central_signature = 0x02014b50, end_signature = 0x06054b50,
                        end64_signature = 0x06064b50, locator64_signature = 0x07064b50;
constexpr std::size_t local_bytes = 30, central_bytes = 46, end_bytes = 22, end64_bytes = 56, locator64_bytes = 20;
constexpr std::size_t longest_comment = 65535;
constexpr std::uint16_t zip64_field = 1;
constexpr std::uint64_t in_zip64 = 0xffffffff;  // a 32-bit field that says: see the zip64 field

class ZipDirectory {
 public:
  ZipDirectory(std::span<const std::byte> file, const std::string& name) : file_(file), name_(name) {}

  Result<std::vector<ZipMember>> read() {
    Result<Place> place = find_directory();
    if (!place) return place.error();
    std::vector<ZipMember> members;
    members.reserve(place->members);  // bounded: find_directory() saw that so many fit into the file
    std::uint64_t at = place->begin;
    for (std::uint64_t i = 0; i < place->members; ++i) {
      Result<Central> central = read_central(at, place->end);
      if (!central) return central.error();
      at += central->length;
      Result<ZipMember> member = locate(*central);
      if (!member) return member.error();
      members.push_back(std::move(*member));
    }
    std::sort(members.begin(), members.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
    const auto twice = std::adjacent_find(members.begin(), members.end(),
                                          [](const auto& a, const auto& b) { return a.name == b.name; });
    if (twice != members.end()) return wrong(fmt::format("the member \"{}\" is there twice", printable(twice->name)));
    return members;
  }

 private:
  struct Place {
    std::uint64_t begin = 0, end = 0, members = 0;  // of the central directory
  };
  struct Central {
    std::string name;
    std::uint64_t header = 0, stored = 0, size = 0;
    std::uint16_t flags = 0, method = 0;
    std::uint64_t length = 0;  // of this entry in the directory
  };

  Failure wrong(std::string what) const { return {FaultKind::checkpoint_incomplete, std::move(what), name_, ""}; }
  bool holds(std::uint64_t at, std::uint64_t count) const { return at <= file_.size() && count <= file_.size() - at; }
  template <class Number>
  Number number(std::uint64_t at) const {  // the caller knows that it lies in the file
    Number value = 0;
    std::memcpy(&value, file_.data() + at, sizeof value);
    return value;
  }
  std::string_view text(std::uint64_t at, std::uint64_t count) const {
    return {reinterpret_cast<const char*>(file_.data()) + at, static_cast<std::size_t>(count)};
  }

  // The record that ends the file, searched backwards over its comment.
  std::optional<std::uint64_t> find_end() const {
    if (file_.size() < end_bytes) return std::nullopt;
    const std::uint64_t last = file_.size() - end_bytes;
    const std::uint64_t first = last > longest_comment ? last - longest_comment : 0;
    for (std::uint64_t at = last + 1; at-- > first;) {
      if (number<std::uint32_t>(at) == end_signature && at + end_bytes + number<std::uint16_t>(at + 20) == file_.size())
        return at;
    }
    return std::nullopt;
  }

  Result<Place> find_directory() const {
    const std::optional<std::uint64_t> end = find_end();
    if (!end) {
      return Failure{
          FaultKind::checkpoint_incomplete,
          fmt::format("the zip archive of {} bytes has no directory at its end: it is truncated", file_.size()), name_,
          "fetch the file again and compare its size"};
    }
    Place place{number<std::uint32_t>(*end + 16), 0, number<std::uint16_t>(*end + 10)};
    std::uint64_t size = number<std::uint32_t>(*end + 12), limit = *end;
    if (*end >= locator64_bytes && number<std::uint32_t>(*end - locator64_bytes) == locator64_signature) {
      const std::uint64_t at = number<std::uint64_t>(*end - locator64_bytes + 8);
      if (at > *end - locator64_bytes || *end - locator64_bytes - at < end64_bytes ||
          number<std::uint32_t>(at) != end64_signature)
        return wrong(fmt::format("there is no zip64 directory record at byte {} of {}", at, file_.size()));
      place.members = number<std::uint64_t>(at + 32);
      size = number<std::uint64_t>(at + 40);
      place.begin = number<std::uint64_t>(at + 48);
      limit = at;
    }
    if (place.begin > limit || size > limit - place.begin) {
      return wrong(fmt::format("the zip directory of {} bytes at byte {} ends after byte {}, where it must", size,
                               place.begin, limit));
    }
    if (place.members > size / central_bytes)
      return wrong(fmt::format("the zip directory has {} bytes, too few for {} members", size, place.members));
    place.end = place.begin + size;
    return place;
  }

  Result<Central> read_central(std::uint64_t at, std::uint64_t end) const {
    if (end - at < central_bytes || number<std::uint32_t>(at) != central_signature)
      return wrong(fmt::format("there is no zip directory entry at byte {}", at));
    const std::uint64_t name = number<std::uint16_t>(at + 28), extra = number<std::uint16_t>(at + 30),
                        comment = number<std::uint16_t>(at + 32);
    Central got;
    got.length = central_bytes + name + extra + comment;
    if (got.length > end - at) return wrong(fmt::format("the zip directory entry at byte {} ends outside of it", at));
    got.name = text(at + central_bytes, name);
    got.flags = number<std::uint16_t>(at + 8);
    got.method = number<std::uint16_t>(at + 10);
    got.stored = number<std::uint32_t>(at + 20);
    got.size = number<std::uint32_t>(at + 24);
    got.header = number<std::uint32_t>(at + 42);
    if (!read_zip64(got, at + central_bytes + name, extra))
      return wrong(fmt::format("the zip64 field of the member \"{}\" is too short", printable(got.name)));
    return got;
  }

  // The 64-bit numbers follow in a fixed order, each only if its 32-bit field asks for it.
  bool read_zip64(Central& entry, std::uint64_t at, std::uint64_t count) const {
    for (const std::uint64_t end = at + count; end - at >= 4;) {
      const std::uint64_t length = number<std::uint16_t>(at + 2);
      if (length > end - at - 4) break;
      if (number<std::uint16_t>(at) == zip64_field) {
        std::uint64_t next = at + 4;
        const std::uint64_t stop = next + length;
        for (std::uint64_t* value : {&entry.size, &entry.stored, &entry.header}) {
          if (*value != in_zip64) continue;
          if (stop - next < 8) return false;
          *value = number<std::uint64_t>(next);
          next += 8;
        }
        return true;
      }
      at += 4 + length;
    }
    return true;
  }

  Result<ZipMember> locate(const Central& entry) const {
    const std::string member = fmt::format("the member \"{}\"", printable(entry.name));
    if ((entry.flags & 1) != 0) return wrong(member + " is encrypted");
    if (entry.method != 0 || entry.stored != entry.size) {
      return wrong(fmt::format("{} is compressed (method {}, {} of {} bytes); torch.save stores members as they are",
                               member, entry.method, entry.stored, entry.size));
    }
    if (!holds(entry.header, local_bytes) || number<std::uint32_t>(entry.header) != local_signature)
      return wrong(fmt::format("{} has no header at byte {} of {}", member, entry.header, file_.size()));
    const std::uint64_t name = number<std::uint16_t>(entry.header + 26);
    const std::uint64_t begin = entry.header + local_bytes + name + number<std::uint16_t>(entry.header + 28);
    if (!holds(begin, entry.size)) {
      return wrong(fmt::format("{} has {} bytes from byte {} on, the file has {}: it is truncated", member, entry.size,
                               begin, file_.size()));
    }
    if (text(entry.header + local_bytes, name) != entry.name) return wrong(member + " has another name in its header");
    return ZipMember{entry.name, file_.subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(entry.size))};
  }

  std::span<const std::byte> file_;
  const std::string& name_;
};

}  // namespace

bool looks_like_zip(std::span<const std::byte> file) {
  return file.size() >= 4 && std::memcmp(file.data(), "PK\x03\x04", 4) == 0;
}

Result<std::vector<ZipMember>> read_zip_directory(std::span<const std::byte> file, const std::string& name) {
  return ZipDirectory(file, name).read();
}

}  // namespace ftl
