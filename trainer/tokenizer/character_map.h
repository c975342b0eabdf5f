// SentencePiece's compiled normalization rules: prefixes of the text to what replaces them, as a double array (darts)
// and a pool of texts, each ended by a NUL. A stranger's bytes: every step stays inside them.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "trainer/tokenizer/json_view.h"

namespace ftl {

class CharacterMap {
 public:
  // <size of the array in bytes, 4 bytes little-endian><array of 4-byte units><pool>; null when the sizes contradict.
  static std::shared_ptr<const CharacterMap> from_bytes(std::string_view bytes);
  static std::shared_ptr<const CharacterMap> from_json(const JsonView& base64);  // null when the view has complained

  struct Rule {
    std::size_t length;            // bytes of the text that it replaces
    std::string_view replacement;  // lives as long as the map
  };
  std::optional<Rule> longest(std::string_view text) const;
  std::optional<Rule> shortest(std::string_view text) const;
  // As Hugging Face's Precompiled has it: a grapheme cluster of less than 6 bytes that has a rule for its beginning is
  // replaced as a whole, else its characters one by one. `text` is well-formed UTF-8.
  void append_by_graphemes(std::string_view text, std::string& out) const;

 private:
  template <class Visit>  // Visit(length, value) -> whether to go on
  void walk(std::string_view text, Visit visit) const;
  std::string_view pooled(std::uint32_t offset) const;
  std::vector<std::uint32_t> units_;
  std::string pool_;
};

// RFC 4648 with or without padding; nothing when a character does not belong.
std::optional<std::string> decode_base64(std::string_view text);

}  // namespace ftl
