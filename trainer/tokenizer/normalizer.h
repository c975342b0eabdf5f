// Text before splitting: Unicode normal forms and small rewrites, applied in the order of tokenizer.json.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "trainer/tokenizer/json_view.h"

namespace ftl {

class Normalizer {
 public:
  // null, NFC, NFD, NFKC, NFKD, Lowercase, StripAccents, Strip, Prepend, Replace, ByteLevel, Sequence of these; others
  // complain.
  static Normalizer from_json(const JsonView& view);
  std::string apply(std::string text) const;  // well-formed UTF-8 in and out; thread-safe

 private:
  void add(const JsonView& view);
  std::vector<std::function<std::string(std::string)>> steps_;
};

}  // namespace ftl
