// Characters as Python's str sees them.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace ftl::chat {

bool is_space(char32_t c);      // str.isspace, the \s of its expressions
bool is_printable(char32_t c);  // str.isprintable: repr shows it as itself
bool is_letter(char32_t c);     // str.isalpha
bool is_digit(char32_t c);      // str.isdigit, as far as decimal digits
bool is_name_character(char32_t c);

// How many bytes of white space a text begins or ends with.
std::size_t leading_space(std::string_view text);
std::size_t trailing_space(std::string_view text);

std::string upper(std::string_view text);
std::string lower(std::string_view text);
// First character in title case, the rest in lower case.
std::string capitalized(std::string_view text);
// str.title: the same for every run of letters.
std::string title_case(std::string_view text);
bool is_all_upper(std::string_view text);  // str.isupper: a cased character, and none of the other case
bool is_all_lower(std::string_view text);

}  // namespace ftl::chat
