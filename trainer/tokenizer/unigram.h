// Unigram language model: of all ways to cut a piece into tokens the one with the largest sum of log probabilities,
// found byte position by byte position (Viterbi).
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "trainer/tokenizer/byte_trie.h"
#include "trainer/tokenizer/json_view.h"
#include "trainer/tokenizer/model.h"

namespace ftl {

struct UnigramOptions {
  std::int32_t unknown = -1;           // -1: characters that no token has are dropped
  bool byte_fallback = false;          // unknown characters are written as <0x00>..<0xFF>
  bool single_precision = false;       // sums in float, as SentencePiece has them, else in double, as tokenizers does
  std::vector<std::int32_t> unusable;  // tokens that are never found in a text (control, unused, byte pieces)
  std::vector<std::int32_t> always;    // tokens that win wherever they stand (user-defined pieces)
};

class Unigram final : public Model {
 public:
  // scores[id]: log probability of each token of the vocabulary, which has no holes.
  Unigram(TokenTable vocabulary, std::vector<double> scores, const UnigramOptions& options);

  const TokenTable& vocabulary() const override { return vocabulary_; }
  void encode(std::string_view piece, ModelRoom& room, std::vector<std::int32_t>& ids) const override;

 private:
  void find_paths(std::string_view piece, std::vector<ModelRoom::Path>& paths) const;
  void offer(ModelRoom::Path& target, double score, std::size_t begin, std::int32_t id) const;
  void append_unknown(std::string_view text, std::vector<std::int32_t>& ids) const;

  TokenTable vocabulary_;
  std::vector<double> scores_;
  ByteTrie trie_;
  std::vector<bool> always_;
  double unknown_score_ = 0, best_score_ = 0;
  std::int32_t unknown_ = -1;
  bool bytes_complete_ = false, single_precision_ = false;
  std::array<std::int32_t, 256> byte_tokens_{};
};

class LongList;

// The "model" object of tokenizer.json and what its "vocab" holds; null when it has complained.
std::unique_ptr<Unigram> read_unigram(const JsonView& model, const LongList& vocabulary);

}  // namespace ftl
