// Byte-pair encoding of one piece: start from characters, then always merge the pair of lowest rank, leftmost first.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "trainer/tokenizer/json_view.h"
#include "trainer/tokenizer/token_table.h"

namespace ftl {

class Bpe {
 public:
  // The "model" object. On a complaint the result must not be used.
  static std::unique_ptr<Bpe> from_json(const JsonView& model);
  ~Bpe();

  const TokenTable& vocabulary() const { return vocabulary_; }
  // Appends the ids of one piece (well-formed UTF-8, already in the model's alphabet). Thread-safe.
  void encode(std::string_view piece, std::vector<std::int32_t>& ids) const;

 private:
  struct Cache;  // piece -> ids, bounded, sharded by hash
  Bpe();
  void read_vocabulary(const JsonView& vocabulary);
  void read_merges(const JsonView& merges);
  void read_options(const JsonView& model);
  std::int32_t id_of_character(std::string_view character, char32_t value) const;
  std::vector<std::int32_t> to_symbols(std::string_view piece) const;
  bool append_bytes(std::string_view character, std::vector<std::int32_t>& ids) const;
  void merge_short(std::vector<std::int32_t>& ids) const;
  void merge_long(std::vector<std::int32_t>& ids) const;

  TokenTable vocabulary_;
  MergeTable merges_;
  std::array<std::int32_t, 512> small_characters_{};  // ids of U+0000..U+01FF, which hold the whole byte alphabet
  std::array<std::int32_t, 256> byte_tokens_{};       // ids of <0x00>..<0xFF>
  std::int32_t unknown_ = -1;
  bool fuse_unknown_ = false, byte_fallback_ = false, ignore_merges_ = false;
  std::string continuing_prefix_, word_suffix_;
  std::unique_ptr<Cache> cache_;
};

}  // namespace ftl
