// Text to token ids and back, from a Hugging Face tokenizer.json (BPE or Unigram), a SentencePiece model or a tiktoken
// file. A component that is not understood is refused by name, never passed over; "truncation" and "padding" are
// settings of a call elsewhere and not read.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "checkpoints/files.h"
#include "failures/result.h"

namespace ftl {

class Tokenizer {
 public:
  // `path`: a directory with tokenizer.json, else tokenizer.model (SentencePiece, or Llama 3's tiktoken file), else
  // qwen.tiktoken (and tokenizer_config.json, generation_config.json when present), or the file itself. Kinds:
  // file_not_found, tokenizer_invalid (where: the file and the place in it). The file has at most 200 MB.
  static Result<Tokenizer> load(Files& files, const std::string& path);
  Tokenizer(Tokenizer&&) noexcept;
  Tokenizer& operator=(Tokenizer&&) noexcept;
  ~Tokenizer();

  // Thread-safe. Added tokens inside the text are recognised, no special token is added. Invalid UTF-8 is replaced by
  // U+FFFD.
  std::vector<std::int32_t> encode(std::string_view text) const;
  // The same with what the post-processor adds (BOS ...).
  std::vector<std::int32_t> encode_with_special(std::string_view text) const;
  std::string decode(std::span<const std::int32_t> ids, bool skip_special = false) const;

  std::int32_t vocabulary_size() const;  // largest id + 1
  std::optional<std::int32_t> bos() const;
  std::optional<std::int32_t> eos() const;
  std::span<const std::int32_t> stop_ids() const;  // generation_config's eos_token_id(s), else eos
  // What encode_with_special puts before and after the ids of a text; both are usually empty or one token.
  std::span<const std::int32_t> special_prefix() const;
  std::span<const std::int32_t> special_suffix() const;
  const std::string& content_hash() const;  // xxh3-128 of all that shapes ids, 32 hex digits

 private:
  struct Impl;
  explicit Tokenizer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace ftl
