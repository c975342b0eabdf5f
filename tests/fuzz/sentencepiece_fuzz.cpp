// A SentencePiece model. Accepted: every id is of the vocabulary, from the cache too, any ids can be decoded, and a
// second load is the same tokenizer.
#include "tests/fuzz/fuzz_target.h"
#include "tests/tokenizer/memory_files.h"
#include "trainer/tokenizer/tokenizer.h"

namespace ftl {
namespace {

constexpr std::string_view text =
    "ab abb <s> 12 \xEF\xAC\x81 \xC3\xA9 \xE6\xBC\xA2\xE2\x96\x81 \xF0\x9F\x98\x80\n\n  x\xFF\x80 ";

bool run(std::string_view input) {
  MemoryFiles files({{"t/tokenizer.model", std::string(input)}});
  const Result<Tokenizer> tokenizer = Tokenizer::load(files, "t");
  if (!tokenizer) {
    must(tokenizer.error().kind == FaultKind::tokenizer_invalid && !tokenizer.error().what.empty(),
         "a refusal says why");
    return false;
  }
  const std::vector<std::int32_t> ids = tokenizer->encode(text);
  must(tokenizer->encode(text) == ids, "the same text has the same ids, also from the cache");
  for (const std::int32_t id : tokenizer->encode_with_special(text))
    must(id >= 0 && id < tokenizer->vocabulary_size(), "ids are of the vocabulary");
  (void)tokenizer->decode(ids, true);
  (void)tokenizer->decode(std::vector<std::int32_t>{-1, 0, tokenizer->vocabulary_size(), INT32_MIN, INT32_MAX});
  const Result<Tokenizer> again = Tokenizer::load(files, "t");
  must(again && again->encode(text) == ids, "the same file is the same tokenizer");
  return true;
}

const FuzzTarget target("sentencepiece", run);

}  // namespace
}  // namespace ftl
