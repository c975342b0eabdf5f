// Byte-pair encoding of one piece: start from characters, then always merge the pair of lowest rank, leftmost first.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "trainer/tokenizer/json_view.h"
#include "trainer/tokenizer/model.h"
#include "trainer/tokenizer/token_table.h"

namespace ftl {

struct BpeOptions {
  std::int32_t unknown = -1;   // id for characters that are neither in the vocabulary nor written as bytes; -1: dropped
  bool fuse_unknown = false;   // a run of unknown characters is one token
  bool byte_fallback = false;  // unknown characters are written as <0x00>..<0xFF>
  bool ignore_merges = false;  // a piece that is a token stays whole
  std::string continuing_prefix, word_suffix;  // characters inside and at the end of a piece carry them
};

class Bpe final : public Model {
 public:
  Bpe(TokenTable vocabulary, MergeTable merges, BpeOptions options);

  const TokenTable& vocabulary() const override { return vocabulary_; }
  void encode(std::string_view piece, ModelRoom& room, std::vector<std::int32_t>& ids) const override;
  bool take_bytes() override;

 private:
  bool cuts_at_marks() const;
  void encode_word(std::string_view word, ModelRoom& room, std::vector<std::int32_t>& ids) const;
  void to_symbols(std::string_view word, std::vector<std::int32_t>& symbols) const;
  std::int32_t id_of_character(std::string_view character, char32_t value) const;
  bool append_bytes(std::string_view character, std::vector<std::int32_t>& symbols) const;
  void merge_short(std::vector<std::int32_t>& symbols) const;
  void merge_long(ModelRoom& room) const;

  TokenTable vocabulary_;
  TokenTable whole_;  // tokens as bytes, when pieces are bytes and may stay whole
  MergeTable merges_;
  BpeOptions options_;
  std::array<std::int32_t, 512> small_characters_{};  // ids of U+0000..U+01FF, which hold the whole byte alphabet
  std::array<std::int32_t, 256> byte_tokens_{};       // ids of <0x00>..<0xFF>
  std::array<std::int32_t, 256> byte_symbols_{};      // ids of the byte alphabet's characters, by byte
  bool takes_bytes_ = false, cuts_at_marks_ = false;
};

class LongList;

// The "model" object of tokenizer.json and what its two lists hold; null when it has complained.
std::unique_ptr<Bpe> read_bpe(const JsonView& model, const LongList& vocabulary, const LongList& merges);

}  // namespace ftl
