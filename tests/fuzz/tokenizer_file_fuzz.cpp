// A tokenizer.json, and behind its first NUL byte a text for it. Accepted: every id is below the vocabulary's size, any
// ids can be decoded, and a second load is the same tokenizer.
#include <algorithm>

#include "tests/fuzz/fuzz_target.h"
#include "tests/tokenizer/memory_files.h"
#include "trainer/tokenizer/tokenizer.h"
#include "trainer/tokenizer/utf8.h"

namespace ftl {
namespace {

constexpr std::string_view usual_text = "ab abb <s> \xC3\xA9 \xE6\xBC\xA2 \xF0\x9F\x98\x80 1234 can't\n\n  x\xFF\x80";

bool run(std::string_view input) {
  const std::size_t end = std::min(input.find('\0'), input.size());
  MemoryFiles files({{"t/tokenizer.json", std::string(input.substr(0, end))}});
  const Result<Tokenizer> tokenizer = Tokenizer::load(files, "t");
  if (!tokenizer) {
    must(tokenizer.error().kind == FaultKind::tokenizer_invalid && !tokenizer.error().what.empty(),
         "a refusal says why");
    return false;
  }
  const std::string_view text = end < input.size() ? input.substr(end + 1) : usual_text;
  const std::vector<std::int32_t> ids = tokenizer->encode(text), around = tokenizer->encode_with_special(text);
  for (const std::int32_t id : around) must(id >= 0 && id < tokenizer->vocabulary_size(), "ids are of the vocabulary");
  must(around.size() == ids.size() + tokenizer->special_prefix().size() + tokenizer->special_suffix().size(),
       "special tokens stand around the text's");
  must(std::search(around.begin(), around.end(), ids.begin(), ids.end()) != around.end() || ids.empty(),
       "the text's ids stand between them");
  (void)tokenizer->decode(around, true);
  (void)tokenizer->decode(std::vector<std::int32_t>{-1, 0, tokenizer->vocabulary_size(), INT32_MIN, INT32_MAX});
  for (const auto& id : {tokenizer->bos(), tokenizer->eos()})
    must(!id || (*id >= 0 && *id < tokenizer->vocabulary_size()), "bos and eos are tokens");

  const Result<Tokenizer> again = Tokenizer::load(files, "t");
  must(again && again->encode(text) == ids && again->content_hash() == tokenizer->content_hash(),
       "the same file is the same tokenizer");
  return true;
}

const FuzzTarget target("tokenizer_file", run);

}  // namespace
}  // namespace ftl
