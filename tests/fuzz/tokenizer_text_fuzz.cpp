// Any bytes as a text, for a tokenizer of 256 byte tokens and some merges: what is encoded comes back, and pieces do
// not depend on how often they were seen.
#include "tests/fuzz/fuzz_target.h"
#include "tests/tokenizer/memory_files.h"
#include "trainer/tokenizer/tokenizer.h"
#include "trainer/tokenizer/utf8.h"

namespace ftl {
namespace {

Tokenizer example() {
  PosixFiles files;
  Result<Tokenizer> tokenizer = Tokenizer::load(files, std::string(FTL_SOURCE_DIR) + "/examples/tiny-llama");
  must(static_cast<bool>(tokenizer), "the example's tokenizer is there");
  return std::move(*tokenizer);
}

bool run(std::string_view input) {
  static const Tokenizer tokenizer = example();
  const std::vector<std::int32_t> ids = tokenizer.encode(input);
  for (const std::int32_t id : ids) must(id >= 0 && id < tokenizer.vocabulary_size(), "ids are of the vocabulary");
  const std::string valid = is_valid_utf8(input) ? std::string(input) : repair_utf8(input);
  must(is_valid_utf8(valid), "repaired text is UTF-8");
  must(tokenizer.decode(ids) == valid, "a text comes back");
  must(tokenizer.encode(valid) == ids, "the repaired text has the same ids, also from the cache");
  return true;
}

const FuzzTarget target("tokenizer_text", run);

}  // namespace
}  // namespace ftl
