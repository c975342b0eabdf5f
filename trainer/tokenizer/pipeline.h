// What a tokenizer is made of, whatever file it came from: added tokens are found, the text between them is normalized,
// split into pieces, and the model turns the pieces into ids.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "trainer/tokenizer/added_tokens.h"
#include "trainer/tokenizer/decoder.h"
#include "trainer/tokenizer/json_view.h"
#include "trainer/tokenizer/model.h"
#include "trainer/tokenizer/normalizer.h"
#include "trainer/tokenizer/post_processor.h"
#include "trainer/tokenizer/pre_tokenizer.h"
#include "trainer/tokenizer/token_table.h"

namespace ftl {

struct TokenizerJson;

struct Pipeline {
  std::unique_ptr<Model> model;
  Normalizer normalizer;
  PreTokenizer pre_tokenizer;
  PostProcessor post_processor;
  Decoder decoder;
  TokenNames tokens;  // the model's and the added ones
  AddedTokenFinder raw_added, normalized_added;
  std::unordered_set<std::int32_t> special;
  // Added tokens that the normalizer changes are decoded as it left them, as the reference implementation does.
  std::unordered_map<std::int32_t, std::string> decoded_texts;
  std::optional<std::int32_t> natural_end;  // EOS where the tokenizer's own file names it

  void set_model(std::unique_ptr<Model> model_of_tokens);  // before any token is added
  // Takes part in raw_added or normalized_added and in `tokens`; what is wrong otherwise. The normalizer is there.
  std::optional<std::string> add_token(const AddedToken& token);
  // After the model and the pre-tokenizer are there: pieces as bytes where that gives the same ids.
  void use_bytes_where_possible();
};

// `root` is the tree of `json`; complains about what is not understood.
void read_tokenizer_json(const JsonView& root, const TokenizerJson& json, Pipeline& pipeline);

// Encodes with working memory that is kept from text to text, one set a thread at a time.
class Encoder {
 public:
  // Appends the ids of `text`, which need not be UTF-8. Thread-safe.
  void encode(const Pipeline& pipeline, std::string_view text, std::vector<std::int32_t>& ids) const;

 private:
  struct Room {
    std::vector<AddedTokenFinder::Part> raw_parts, parts;
    NormalizedText normalized;
    Pieces pieces;
    ModelRoom model;
  };
  std::unique_ptr<Room> take_room() const;
  void give_back(std::unique_ptr<Room> room) const;
  mutable std::mutex mutex_;
  mutable std::vector<std::unique_ptr<Room>> idle_;
};

}  // namespace ftl
