// Tokens back to text: each step maps the list of token texts, the last list is joined.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "trainer/tokenizer/json_view.h"

namespace ftl {

class Decoder {
 public:
  using Step = std::function<void(std::vector<std::string>&)>;
  // null (tokens joined by spaces), ByteLevel, ByteFallback, Fuse, Replace, Strip, Metaspace, WordPiece, BPEDecoder,
  // Sequence of these; others complain.
  static Decoder from_json(const JsonView& view);
  static Decoder byte_level();
  void add_step(Step step) { steps_.push_back(std::move(step)); }
  std::string decode(std::vector<std::string> tokens) const;  // thread-safe; bytes that are no UTF-8 become U+FFFD

 private:
  void add(const JsonView& view);
  void add_strip(const JsonView& view);
  std::vector<Step> steps_;
  std::string joint_;
};

}  // namespace ftl
