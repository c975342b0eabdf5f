// UTF-8 as untrusted bytes: one repair at the entrance, after which every room may assume well-formed text.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace ftl {

std::size_t ascii_prefix(std::string_view text);  // bytes before the first that is not ASCII
bool is_valid_utf8(std::string_view text);
// Every maximal ill-formed part becomes one U+FFFD (the Unicode standard's recommended practice; Rust's
// from_utf8_lossy).
std::string repair_utf8(std::string_view text);

struct CodePoint {
  char32_t value;
  std::size_t length;  // bytes
};
// `text` is well-formed and not empty.
CodePoint first_code_point(std::string_view text);
CodePoint last_code_point(std::string_view text);
void append_utf8(std::string& out, char32_t value);
bool is_white_space(char32_t value);  // Unicode White_Space

// The byte alphabet of GPT-2: each byte is written as a printable character below U+0144.
std::string to_byte_alphabet(std::string_view bytes);
// Bytes of a token; false when it has a character outside the alphabet, then it stands for its own bytes.
bool append_from_byte_alphabet(std::string& bytes, std::string_view token);

}  // namespace ftl
