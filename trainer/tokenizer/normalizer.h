// Text before splitting: Unicode normal forms and small rewrites, applied in the order of tokenizer.json.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "trainer/tokenizer/json_view.h"

namespace ftl {

// A text on its way, and working memory of the steps.
struct NormalizedText {
  std::string text, spare;
  bool at_text_start = false;  // it begins with the first byte of what the user gave
};

class Normalizer {
 public:
  using Step = std::function<void(NormalizedText&)>;
  // null, NFC, NFD, NFKC, NFKD, Lowercase, StripAccents, Strip, Prepend, Replace, Precompiled, Nmt, BertNormalizer,
  // ByteLevel, Sequence of these; others complain.
  static Normalizer from_json(const JsonView& view);
  void add_step(Step step) { steps_.push_back(std::move(step)); }

  // Well-formed UTF-8 in and out; thread-safe. The result is `text` itself or lies in the room.
  std::string_view apply(std::string_view text, bool at_text_start, NormalizedText& room) const;
  std::string apply(std::string_view text) const;

 private:
  void add(const JsonView& view);
  void add_bert(const JsonView& view);
  std::vector<Step> steps_;
};

}  // namespace ftl
