// Text into the pieces that BPE works on. Every component is a refinement of one list of ranges over one buffer.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "trainer/tokenizer/json_view.h"
#include "trainer/tokenizer/pattern.h"

namespace ftl {

struct Pieces {
  std::string text;
  std::vector<Span> spans;     // ascending, none empty
  bool at_text_start = false;  // the buffer began at the first byte of what the user gave
};

enum class SplitBehavior { isolated, removed, contiguous, merged_with_previous, merged_with_next };

class PreTokenizer {
 public:
  // null, ByteLevel, Split, Sequence, Digits, Punctuation, Whitespace, WhitespaceSplit, CharDelimiterSplit, Metaspace;
  // others complain.
  static PreTokenizer from_json(const JsonView& view);
  void apply(Pieces& pieces) const;  // thread-safe

 private:
  void add(const JsonView& view);
  void add_split(std::shared_ptr<const Pattern> pattern, SplitBehavior behavior, bool invert);
  void add_byte_level(const JsonView& view);
  void add_metaspace(const JsonView& view);
  std::vector<std::function<void(Pieces&)>> steps_;
};

}  // namespace ftl
