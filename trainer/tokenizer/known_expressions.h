// The expressions by which most tokenizers split text, matched by hand: a hundred times they were compiled for PCRE2 to
// do what a few look-ups do. tests/tokenizer/known_expressions_test.cpp holds each against PCRE2.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>

namespace ftl {

// The end of the match that begins at `at`, or `at` when none does. `text` is well-formed UTF-8 and `at` begins a
// character.
using Matcher = std::size_t (*)(std::string_view text, std::size_t at);

struct KnownExpression {
  std::string_view name;        // of the family that uses it
  std::string_view expression;  // as tokenizer.json spells it
  Matcher match;
};
std::span<const KnownExpression> known_expressions();
Matcher matcher_of(std::string_view expression);  // null: not one of them

inline constexpr std::string_view gpt2_expression =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
inline constexpr std::string_view llama3_expression =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3})"
    R"(| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
inline constexpr std::string_view qwen2_expression = R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N})"
                                                     R"(| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

}  // namespace ftl
