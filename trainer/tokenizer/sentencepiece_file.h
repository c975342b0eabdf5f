// A SentencePiece model as its file has it: the fields of the protocol buffer message ModelProto that encoding and
// decoding need (sentencepiece_model.proto), read by a bounded reader of the wire format.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "failures/result.h"

namespace ftl {

struct SentencePieceFile {
  enum class Type { normal = 1, unknown = 2, control = 3, user_defined = 4, unused = 5, byte = 6 };
  enum class Algorithm { unigram = 1, bpe = 2, word = 3, character = 4 };
  struct Piece {
    std::string text;
    float score = 0;
    Type type = Type::normal;
  };
  std::vector<Piece> pieces;  // the place is the id
  Algorithm algorithm = Algorithm::unigram;
  bool byte_fallback = false, white_space_is_suffix = false;
  std::string bos_piece = "<s>", eos_piece = "</s>", unknown_surface = " \xE2\x81\x87 ";
  std::string character_map;  // compiled normalization rules (character_map.h); empty: none
  bool add_dummy_prefix = true, remove_extra_white_space = true, escape_white_space = true;
  bool denormalizes = false;  // it has rules for decoding besides
};

// Fails, tokenizer_invalid without a place, when the bytes are no such message, a piece is empty or not UTF-8, a score
// is no finite number, or there are no pieces or more than 10000000. Unknown fields are skipped.
Result<SentencePieceFile> read_sentencepiece(std::string_view bytes);

}  // namespace ftl
