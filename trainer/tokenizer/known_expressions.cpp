#include "trainer/tokenizer/known_expressions.h"

#include <algorithm>
#include <string>

#include "trainer/tokenizer/character_classes.h"

namespace ftl {
namespace {

using enum CharacterClasses::Class;

using Seen = CharacterClasses::Seen;

// A text with its classes at hand. Every `skip` returns the first byte behind a run.
struct Reader {
  std::string_view text;
  const CharacterClasses& classes = CharacterClasses::table();

  Seen at(std::size_t i) const { return classes.at(text, i); }
  bool is(std::size_t i, char c) const { return i < text.size() && text[i] == c; }
  std::size_t skip(std::size_t i, unsigned any_of) const {
    for (Seen seen = at(i); seen.is(any_of); seen = at(i)) i += seen.length;
    return i;
  }
  std::size_t skip_other_than(std::size_t i, unsigned none_of) const {
    for (Seen seen = at(i); seen.is_other_than(none_of); seen = at(i)) i += seen.length;
    return i;
  }
};

// 's 't 're 've 'm 'll 'd, of any case if asked; U+017F is another s then.
std::size_t contraction(std::string_view text, std::size_t at, bool any_case) {
  if (at + 1 >= text.size() || text[at] != '\'') return at;
  const auto letter_at = [&](std::size_t i) {
    if (i >= text.size()) return '\0';
    const char c = text[i];
    return any_case && c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
  };
  const char first = letter_at(at + 1), second = letter_at(at + 2);
  if (first == 's' || first == 't' || first == 'm' || first == 'd') return at + 2;
  if ((first == 'r' || first == 'v') && second == 'e') return at + 3;
  if (first == 'l' && second == 'l') return at + 3;
  if (any_case && text.substr(at + 1).starts_with("\xC5\xBF")) return at + 3;
  return at;
}

// \s+(?!\S)|\s+: all of a run that ends the text, else all but its last character, if there is more than one.
std::size_t blanks(const Reader& reader, std::size_t at) {
  std::size_t end = at, last = at;
  for (Seen seen = reader.at(end); seen.is(space); seen = reader.at(end)) {
    last = end;
    end += seen.length;
  }
  return end == reader.text.size() || last == at ? end : last;
}

// \s*[\r\n]+|\s+(?!\S)|\s+: up to the last line end of the run where there is one.
std::size_t lines_or_blanks(const Reader& reader, std::size_t at) {
  std::size_t line = at;
  std::size_t end = at;
  for (Seen seen = reader.at(end); seen.is(space); seen = reader.at(end)) {
    end += seen.length;
    if (seen.is(line_end)) line = end;
  }
  return line > at ? line : blanks(reader, at);
}

// \p{N}{1,limit}
std::size_t digits(const Reader& reader, std::size_t at, int limit) {
  for (Seen seen = reader.at(at); limit > 0 && seen.is(number); seen = reader.at(at), --limit) at += seen.length;
  return at;
}

std::size_t match_gpt2(std::string_view text, std::size_t at) {
  const Reader reader{text};
  if (const std::size_t end = contraction(text, at, false); end > at) return end;
  const std::size_t start = reader.is(at, ' ') ? at + 1 : at;
  const Seen first = reader.at(start);
  if (first.is(letter)) return reader.skip(start, letter);
  if (first.is(number)) return reader.skip(start, number);
  if (first.is_other_than(space | letter | number)) return reader.skip_other_than(start, space | letter | number);
  return blanks(reader, at);
}

// ` ?[^\s\p{L}\p{N}]+[\r\n]*`, and with `slash` `[\r\n/]*` at its end; then white space.
std::size_t symbols_or_white_space(const Reader& reader, std::size_t at, bool slash) {
  const std::size_t start = reader.is(at, ' ') ? at + 1 : at;
  if (!reader.at(start).is_other_than(space | letter | number)) return lines_or_blanks(reader, at);
  std::size_t end = reader.skip_other_than(start, space | letter | number);
  while (end < reader.text.size() &&
         (reader.text[end] == '\r' || reader.text[end] == '\n' || (slash && reader.text[end] == '/'))) {
    ++end;
  }
  return end;
}

// GPT-4's family: a word takes one character before it along, that is no line end, letter or digit.
template <int digit_limit>
std::size_t match_words(std::string_view text, std::size_t at) {
  const Reader reader{text};
  const Seen first = reader.at(at);
  if (first.is(letter)) return reader.skip(at, letter);
  if (const std::size_t end = contraction(text, at, true); end > at) return end;
  if (first.is_other_than(line_end | number) && reader.at(at + first.length).is(letter))
    return reader.skip(at + first.length, letter);
  if (first.is(number)) return digits(reader, at, digit_limit);
  return symbols_or_white_space(reader, at, false);
}

// [U]*[W]+ from `at`, U the class not_lower and W not_upper: greedy U gives back until a W is found.
std::size_t capitals_then_small(const Reader& reader, std::size_t at) {
  std::size_t both = at, end = at;  // `both`: behind the last character of the run that is a W too
  for (Seen seen = reader.at(end); seen.is(not_lower); seen = reader.at(end)) {
    end += seen.length;
    if (seen.is(not_upper)) both = end;
  }
  const std::size_t small = reader.skip(end, not_upper);
  return small > end ? small : both;
}

// GPT-4o's family: words begin where small letters are followed by capitals.
template <int digit_limit, bool with_contraction>
std::size_t match_cased_words(std::string_view text, std::size_t at) {
  const Reader reader{text};
  const Seen first = reader.at(at);
  const bool leads = first.is_other_than(line_end | letter | number);
  const std::size_t behind = at + first.length;
  std::size_t end = at;
  const auto accept = [&](std::size_t from, std::size_t to) {
    if (to > from) end = with_contraction ? contraction(text, to, true) : to;
    return to > from;
  };
  if (leads && accept(behind, capitals_then_small(reader, behind))) return end;
  if (accept(at, capitals_then_small(reader, at))) return end;
  if (leads && accept(behind, reader.skip(behind, not_lower))) return end;
  if (accept(at, reader.skip(at, not_lower))) return end;
  if (first.is(number)) return digits(reader, at, digit_limit);
  return symbols_or_white_space(reader, at, true);
}

bool is_ascii_letter(std::string_view text, std::size_t at) {
  return at < text.size() && ((text[at] | 0x20) >= 'a') && ((text[at] | 0x20) <= 'z');
}

std::size_t match_deepseek_words(std::string_view text, std::size_t at) {
  const Reader reader{text};
  const Seen first = reader.at(at);
  if (first.length == 1 && first.is(symbol) && is_ascii_letter(text, at + 1)) {
    std::size_t end = at + 1;
    while (is_ascii_letter(text, end)) ++end;
    return end;
  }
  if (first.is_other_than(line_end | letter | symbol) && reader.at(at + first.length).is(letter | mark))
    return reader.skip(at + first.length, letter | mark);
  if (first.is(letter | mark)) return reader.skip(at, letter | mark);
  const std::size_t start = reader.is(at, ' ') ? at + 1 : at;
  if (reader.at(start).is(symbol)) {
    std::size_t end = reader.skip(start, symbol);
    while (end < text.size() && (text[end] == '\r' || text[end] == '\n')) ++end;
    return end;
  }
  return first.is(space) ? lines_or_blanks(reader, at) : at;
}

template <int limit>
std::size_t match_digits(std::string_view text, std::size_t at) {
  return digits(Reader{text}, at, limit);
}

// U+4E00..U+9FA5 and U+3040..U+30FF, all of three bytes.
std::size_t match_east_asian(std::string_view text, std::size_t at) {
  const auto byte = [&](std::size_t i) { return static_cast<std::uint32_t>(static_cast<unsigned char>(text[i])); };
  for (; at < text.size() && byte(at) >= 0xE3 && byte(at) <= 0xE9; at += 3) {
    const std::uint32_t c = (byte(at) & 0x0Fu) << 12 | (byte(at + 1) & 0x3Fu) << 6 | (byte(at + 2) & 0x3Fu);
    if (!((c >= 0x4E00 && c <= 0x9FA5) || (c >= 0x3040 && c <= 0x30FF))) break;
  }
  return at;
}

constexpr KnownExpression all[] = {
    {"gpt2", gpt2_expression, match_gpt2},
    {"llama3", llama3_expression, match_words<3>},
    {"qwen2", qwen2_expression, match_words<1>},
    {"cl100k",
     R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,3})"
     R"(| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+)",
     match_words<3>},
    {"gpt4",
     R"('(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,3})"
     R"(| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+)",
     match_words<3>},
    {"tekken",
     R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+)"
     R"(|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*)"
     R"(|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
     match_cased_words<1, false>},
    {"o200k",
     R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?)"
     R"(|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?)"
     R"(|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
     match_cased_words<3, true>},
    {"deepseek_v3_words",
     R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+)"
     R"(| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
     match_deepseek_words},
    {"deepseek_v3_digits", R"(\p{N}{1,3})", match_digits<3>},
    {"deepseek_v3_east_asian", "[\xE4\xB8\x80-\xE9\xBE\xA5\xE3\x81\x80-\xE3\x82\x9F\xE3\x82\xA0-\xE3\x83\xBF]+",
     match_east_asian},
    {"one_digit", R"(\p{N})", match_digits<1>},
};

}  // namespace

std::span<const KnownExpression> known_expressions() { return all; }

// Some files hold line ends themselves where others hold \\r and \\n.
Matcher matcher_of(std::string_view expression) {
  std::string spelled;
  for (const char c : expression) c == '\r' ? spelled += "\\r" : c == '\n' ? spelled += "\\n" : spelled += c;
  const auto* found =
      std::find_if(std::begin(all), std::end(all), [&](const KnownExpression& e) { return e.expression == spelled; });
  return found == std::end(all) ? nullptr : found->match;
}

}  // namespace ftl
