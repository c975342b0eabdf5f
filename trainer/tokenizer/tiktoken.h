// tiktoken files: a line a token, its bytes in base64, a space, its rank, which is its id. A piece that is a token
// stays whole; else neighbours whose bytes together are the token of lowest rank are joined first. How texts are split
// and what the special tokens are called does not stand in the file; both are known by family.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "failures/result.h"
#include "trainer/tokenizer/pipeline.h"

namespace ftl {

struct TiktokenFamily {
  std::string_view name;
  std::string_view expression;        // splits texts
  bool composes = false;              // texts are brought into normal form C first
  std::int32_t ranks = 0;             // how many its file has
  std::vector<std::string> specials;  // from the id `ranks` on
  struct Alias {
    std::string text;
    std::int32_t id;
  };
  std::vector<Alias> aliases;  // further names of specials, found in texts
  std::string bos, eos;        // names of specials; empty: none
};
// Meta's Llama 3 (tokenizer.model; the names that 3.1 gave to reserved tokens are aliases) and Qwen 1 (qwen.tiktoken).
const TiktokenFamily& llama3_family();
const TiktokenFamily& qwen_family();

bool looks_like_tiktoken(std::string_view bytes);  // its first line is one of base64 and a number

// Fills `pipeline`; bos goes in front of what encode_with_special gives. Failure: tokenizer_invalid without a place.
// Ranks are 0, 1, 2 ... in any order; there are as many as the family has.
std::optional<Failure> read_tiktoken(std::string_view text, const TiktokenFamily& family, Pipeline& pipeline);

}  // namespace ftl
