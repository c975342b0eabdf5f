// What the expressions of tokenizers ask of a character, as one byte of bits a code point: \p{L}, \p{N}, \s and so on
// by one look into a table instead of a search through ranges.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace ftl {

// Unicode 15, as utf8proc has it, and the ideographs that 15.1 added. Unassigned and private characters have no class.
class CharacterClasses {
 public:
  enum Class : std::uint8_t {
    letter = 1,       // \p{L}
    number = 2,       // \p{N}
    space = 4,        // \s
    line_end = 8,     // \r and \n
    symbol = 16,      // \p{P} and \p{S}
    mark = 32,        // \p{M}
    not_lower = 64,   // [\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]
    not_upper = 128,  // [\p{Ll}\p{Lm}\p{Lo}\p{M}]
  };
  static const CharacterClasses& table();

  struct Seen {
    std::uint8_t classes = 0;
    std::uint8_t length = 0;  // bytes; 0 at the end of the text
    bool is(unsigned any_of) const { return (classes & any_of) != 0; }
    bool is_other_than(unsigned none_of) const { return length != 0 && (classes & none_of) == 0; }
  };
  // The character at byte `at` of well-formed UTF-8.
  Seen at(std::string_view text, std::size_t at) const {
    if (at >= text.size()) return {};
    const auto byte = [&](std::size_t i) {
      return static_cast<std::uint32_t>(static_cast<unsigned char>(text[at + i]));
    };
    const std::uint32_t lead = byte(0);
    if (lead < 0x80) return {classes_[lead], 1};
    if (lead < 0xE0) return {classes_[(lead & 0x1Fu) << 6 | (byte(1) & 0x3Fu)], 2};
    if (lead < 0xF0) return {classes_[(lead & 0x0Fu) << 12 | (byte(1) & 0x3Fu) << 6 | (byte(2) & 0x3Fu)], 3};
    const std::uint32_t value =
        (lead & 0x07u) << 18 | (byte(1) & 0x3Fu) << 12 | (byte(2) & 0x3Fu) << 6 | (byte(3) & 0x3Fu);
    return {of(static_cast<char32_t>(value)), 4};
  }
  std::uint8_t of(char32_t c) const {
    if (c < assigned) return classes_[c];
    return c >= 0xE0100 && c <= 0xE01EF ? static_cast<std::uint8_t>(mark | not_lower | not_upper) : std::uint8_t{0};
  }

 private:
  static constexpr char32_t assigned = 0x32400;  // above: variation selectors, tags and private use
  CharacterClasses();
  std::uint8_t classes_[assigned];
};

}  // namespace ftl
