// Text into the pieces that BPE works on. Every component is a refinement of one list of ranges over one buffer.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "trainer/tokenizer/json_view.h"
#include "trainer/tokenizer/pattern.h"

namespace ftl {

struct Pieces {
  std::string_view text;       // what the spans are of; begins as the caller's text
  std::vector<Span> spans;     // ascending, none empty
  bool at_text_start = false;  // the text began at the first byte of what the user gave
  // Working memory, kept from text to text. `text` may lie in `own`.
  struct Part {
    Span span;
    bool match;
  };
  std::string own, rewritten;
  std::vector<Span> refined, matches;
  std::vector<Part> parts, arranged;
};

enum class SplitBehavior { isolated, removed, contiguous, merged_with_previous, merged_with_next };

class PreTokenizer {
 public:
  // null, ByteLevel, Split, Sequence, Digits, Punctuation, Whitespace, WhitespaceSplit, CharDelimiterSplit, Metaspace,
  // BertPreTokenizer; others complain.
  static PreTokenizer from_json(const JsonView& view);
  void add_split(std::shared_ptr<const Pattern> pattern, SplitBehavior behavior, bool invert);
  // Whether the last step writes the pieces in the byte alphabet; who can read bytes spares it.
  bool ends_with_byte_alphabet() const { return ends_with_byte_alphabet_; }
  void spare_byte_alphabet();

  // Spans of pieces.text; thread-safe with one Pieces a thread.
  void apply(Pieces& pieces) const;

 private:
  void add(const JsonView& view);
  void add_byte_level(const JsonView& view);
  void add_metaspace(const JsonView& view);
  std::vector<std::function<void(Pieces&)>> steps_;
  bool ends_with_byte_alphabet_ = false;
};

}  // namespace ftl
