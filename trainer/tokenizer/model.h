// A model turns one piece of text into token ids. It is constant once it is loaded; what encoding needs besides is in a
// room that belongs to one thread at a time and is reused from text to text.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "trainer/tokenizer/token_table.h"
#include "trainer/tokenizer/word_cache.h"

namespace ftl {

struct ModelRoom {
  WordCache words;
  std::vector<std::int32_t> symbols;
  // Byte-pair encoding of long pieces: links between symbols and candidates for merging.
  struct Candidate {
    std::uint64_t merge;  // rank << 32 | merged id
    std::size_t at;
  };
  std::vector<std::size_t> previous, next;
  std::vector<Candidate> candidates;
  // Unigram: the best way to each byte.
  struct Path {
    double score;
    std::int32_t begin, id;  // of its last token; begin -1: none yet
  };
  std::vector<Path> paths;
};

class Model {
 public:
  virtual ~Model() = default;
  virtual const TokenTable& vocabulary() const = 0;
  // Appends the ids of one piece (well-formed UTF-8, already in the model's alphabet). Thread-safe with a room a
  // thread.
  virtual void encode(std::string_view piece, ModelRoom& room, std::vector<std::int32_t>& ids) const = 0;
  // From now on pieces are plain bytes where they would have been written in the byte alphabet of GPT-2. False, and
  // nothing changed, when the model's results would depend on the difference.
  virtual bool take_bytes() { return false; }
};

}  // namespace ftl
