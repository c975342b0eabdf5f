// A pipeline that gives the ids of the SentencePiece library for a model file: its normalization, BPE by score or
// Unigram, user-defined pieces that win over all others, unknown characters as bytes or as one unknown token a run.
#pragma once

#include <optional>

#include "trainer/tokenizer/pipeline.h"
#include "trainer/tokenizer/sentencepiece_file.h"

namespace ftl {

struct SentencePieceOptions {
  // Whether text behind an added token gets the dummy prefix as the start of a text does ("legacy": true of
  // tokenizer_config.json).
  bool prefix_behind_added_tokens = true;
};

// Fills `pipeline`. Failure: tokenizer_invalid without a place, naming what is not supported.
std::optional<Failure> use_sentencepiece(const SentencePieceFile& file, const SentencePieceOptions& options,
                                         Pipeline& pipeline);

}  // namespace ftl
