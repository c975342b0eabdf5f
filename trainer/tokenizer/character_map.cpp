#include "trainer/tokenizer/character_map.h"

#include <utf8proc.h>

#include "trainer/tokenizer/utf8.h"

namespace ftl {
namespace {

std::uint32_t little_endian(std::string_view bytes) {
  std::uint32_t value = 0;
  for (int i = 3; i >= 0; --i) value = value << 8 | static_cast<unsigned char>(bytes[static_cast<std::size_t>(i)]);
  return value;
}

// Fields of a unit of the double array, as darts-clone writes them.
bool has_value(std::uint32_t unit) { return (unit >> 8 & 1) != 0; }
std::uint32_t value_of(std::uint32_t unit) { return unit & 0x7FFFFFFFu; }
std::uint32_t label_of(std::uint32_t unit) { return unit & 0x800000FFu; }
std::uint32_t offset_of(std::uint32_t unit) { return unit >> 10 << (unit >> 6 & 8); }

// Whether a character of well-formed UTF-8 begins, or the text ends, at byte `at`.
bool is_boundary(std::string_view text, std::size_t at) {
  return at >= text.size() || (static_cast<unsigned char>(text[at]) & 0xC0u) != 0x80u;
}

int value_of_base64(char c) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (c >= '0' && c <= '9') return c - '0' + 52;
  return c == '+' ? 62 : c == '/' ? 63 : -1;
}

}  // namespace

std::shared_ptr<const CharacterMap> CharacterMap::from_bytes(std::string_view bytes) {
  if (bytes.size() <= 4) return nullptr;
  const std::size_t array = little_endian(bytes);
  bytes.remove_prefix(4);
  if (array >= bytes.size() || array % 4 != 0 || array == 0) return nullptr;
  auto map = std::make_shared<CharacterMap>();
  map->units_.reserve(array / 4);
  for (std::size_t at = 0; at < array; at += 4) map->units_.push_back(little_endian(bytes.substr(at, 4)));
  map->pool_ = bytes.substr(array);
  if (!is_valid_utf8(map->pool_)) return nullptr;
  return map;
}

std::shared_ptr<const CharacterMap> CharacterMap::from_json(const JsonView& base64) {
  const std::optional<std::string> bytes = decode_base64(base64.text());
  auto map = bytes ? from_bytes(*bytes) : nullptr;
  if (!map) base64.complain("these are no compiled normalization rules");
  return map;
}

template <class Visit>
void CharacterMap::walk(std::string_view text, Visit visit) const {
  std::uint32_t at = offset_of(units_[0]);
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    at ^= byte;
    if (at >= units_.size() || label_of(units_[at]) != byte) return;
    const std::uint32_t unit = units_[at];
    at ^= offset_of(unit);
    // A rule that ends inside a character would leave text that is no UTF-8 behind.
    if (has_value(unit) && at < units_.size() && is_boundary(text, i + 1) && !visit(i + 1, value_of(units_[at])))
      return;
  }
}

std::string_view CharacterMap::pooled(std::uint32_t offset) const {
  if (offset >= pool_.size() || !is_boundary(pool_, offset)) return {};
  const std::string_view rest = std::string_view(pool_).substr(offset);
  return rest.substr(0, rest.find('\0'));
}

std::optional<CharacterMap::Rule> CharacterMap::longest(std::string_view text) const {
  std::optional<Rule> rule;
  walk(text, [&](std::size_t length, std::uint32_t value) {
    rule = Rule{length, pooled(value)};
    return true;
  });
  return rule;
}

std::optional<CharacterMap::Rule> CharacterMap::shortest(std::string_view text) const {
  std::optional<Rule> rule;
  walk(text, [&](std::size_t length, std::uint32_t value) {
    rule = Rule{length, pooled(value)};
    return false;
  });
  return rule;
}

void CharacterMap::append_by_graphemes(std::string_view text, std::string& out) const {
  constexpr std::size_t longest_cluster = 6;
  while (!text.empty()) {
    CodePoint point = first_code_point(text);
    std::size_t cluster = point.length;
    utf8proc_int32_t state = 0;
    while (cluster < text.size()) {
      const CodePoint next = first_code_point(text.substr(cluster));
      if (utf8proc_grapheme_break_stateful(static_cast<utf8proc_int32_t>(point.value),
                                           static_cast<utf8proc_int32_t>(next.value), &state))
        break;
      cluster += next.length;
      point = next;
    }
    std::string_view grapheme = text.substr(0, cluster);
    text.remove_prefix(cluster);
    if (const auto rule = grapheme.size() < longest_cluster ? shortest(grapheme) : std::nullopt) {
      out += rule->replacement;
      continue;
    }
    while (!grapheme.empty()) {
      const std::string_view character = grapheme.substr(0, first_code_point(grapheme).length);
      const auto rule = shortest(character);
      out += rule ? rule->replacement : character;
      grapheme.remove_prefix(character.size());
    }
  }
}

std::optional<std::string> decode_base64(std::string_view text) {
  while (!text.empty() && text.back() == '=') text.remove_suffix(1);
  std::string bytes;
  bytes.reserve(text.size() / 4 * 3 + 3);
  std::uint32_t bits = 0;
  int held = 0;
  for (const char c : text) {
    const int value = value_of_base64(c);
    if (value < 0) return std::nullopt;
    bits = (bits << 6 | static_cast<std::uint32_t>(value)) & 0xFFFFFFu;
    held += 6;
    if (held >= 8) bytes += static_cast<char>(static_cast<unsigned char>(bits >> (held -= 8) & 0xFFu));
  }
  if (held == 6) return std::nullopt;
  return bytes;
}

}  // namespace ftl
