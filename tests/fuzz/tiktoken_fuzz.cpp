// A tiktoken file of a family with as many ranks as the input has lines. Accepted: a text comes back from its ids.
#include <algorithm>

#include "tests/fuzz/fuzz_target.h"
#include "trainer/tokenizer/known_expressions.h"
#include "trainer/tokenizer/tiktoken.h"

namespace ftl {
namespace {

bool run(std::string_view input) {
  TiktokenFamily family;
  family.name = "a family of its own";
  family.expression = llama3_expression;
  family.ranks = static_cast<std::int32_t>(std::count(input.begin(), input.end(), '\n'));
  family.specials = {"<a>", "<b>"};
  family.bos = "<a>";
  Pipeline pipeline;
  if (const auto failure = read_tiktoken(input, family, pipeline)) {
    must(failure->kind == FaultKind::tokenizer_invalid && !failure->what.empty(), "a refusal says why");
    return false;
  }
  const std::string text = "ab abb<b> 1234 can't \xC3\xA9 \xE6\xBC\xA2\n\n  x\t\xF0\x9F\x98\x80";
  const Encoder encoder;
  std::vector<std::int32_t> ids, again;
  encoder.encode(pipeline, text, ids);
  encoder.encode(pipeline, text, again);
  must(ids == again, "the same text has the same ids, also from the cache");
  std::vector<std::string> tokens;
  for (const std::int32_t id : ids) {
    must(pipeline.tokens.has(id), "ids are of the vocabulary");
    tokens.emplace_back(pipeline.tokens.text(id));
  }
  must(pipeline.decoder.decode(std::move(tokens)) == text, "a text comes back");
  return true;
}

const FuzzTarget target("tiktoken", run);

}  // namespace
}  // namespace ftl
