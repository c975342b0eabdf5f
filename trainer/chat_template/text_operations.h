// Operations on texts that both methods and filters offer, with Python's semantics. Parts keep their sources.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "trainer/chat_template/limits.h"
#include "trainer/chat_template/text.h"

namespace ftl::chat {

enum class Ends : std::uint8_t { left, right, both };
// `characters`: which to strip; nullopt is white space.
Text stripped(const Text& text, std::optional<std::string_view> characters, Ends ends, Meter& meter);
// `most`: replacements; negative is all.
Text replaced(const Text& text, const Text& old, const Text& with, std::int64_t most, Meter& meter);
std::vector<Text> split(const Text& text, std::string_view separator, std::int64_t most, Meter& meter);
std::vector<Text> split_from_right(const Text& text, std::string_view separator, std::int64_t most, Meter& meter);
std::vector<Text> split_at_space(const Text& text, std::int64_t most, Meter& meter);
std::vector<Text> split_at_space_from_right(const Text& text, std::int64_t most, Meter& meter);
std::vector<Text> lines(const Text& text, bool keep_ends, Meter& meter);
// str.center: of an odd number of blanks, the left side has one more when `width` is odd.
Text centred(const Text& text, std::int64_t width, std::string_view fill, Meter& meter);
Text joined(const Text& separator, const std::vector<Text>& parts, Meter& meter);

}  // namespace ftl::chat
