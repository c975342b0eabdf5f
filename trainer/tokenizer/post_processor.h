// What surrounds a text: the special tokens that a post-processor puts before and after it.
#pragma once

#include <cstdint>
#include <vector>

#include "trainer/tokenizer/json_view.h"

namespace ftl {

class TokenNames;

struct PostProcessor {
  std::vector<std::int32_t> before, after;
  // null, ByteLevel (ids unchanged), TemplateProcessing, BertProcessing, RobertaProcessing, Sequence of these; others
  // complain.
  static PostProcessor from_json(const JsonView& view, const TokenNames& tokens);

 private:
  void add(const JsonView& view, const TokenNames& tokens);
  void add_template(const JsonView& view, const TokenNames& tokens);
};

}  // namespace ftl
