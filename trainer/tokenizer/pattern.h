// What splits text: a literal or a regular expression. tokenizer.json is written for Oniguruma (Ruby syntax); the
// expression is rewritten for PCRE2 where the two disagree, and refused where the difference cannot be bridged.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "failures/result.h"
#include "trainer/tokenizer/json_view.h"
#include "trainer/tokenizer/known_expressions.h"

namespace ftl {

struct Span {
  std::size_t begin, end;  // bytes, end exclusive
};

// Oniguruma -> PCRE2: \s and \w as Unicode has them, `{n,m}+` as a repetition (it is possessive in PCRE2). The
// failure's where is empty.
Result<std::string> to_pcre2(std::string_view oniguruma);

class Pattern {
 public:
  static Pattern literal(std::string text);
  static Result<Pattern> regex(std::string_view oniguruma);     // failure: tokenizer_invalid without a place
  static Result<Pattern> compiled(std::string_view oniguruma);  // by PCRE2 even where a matcher is written by hand
  // {"String": ...} or {"Regex": ...}; nothing when the view has complained.
  static std::shared_ptr<const Pattern> from_json(const JsonView& view);

  // Non-empty matches, left to right, appended to `matches`. Thread-safe. `text` is well-formed UTF-8. An expression
  // that exceeds the match limit finds nothing more in this text: bounded time goes before splitting.
  void find_all(std::string_view text, std::vector<Span>& matches) const;
  // Every match becomes `with`; `spare` is working memory.
  void replace_all(std::string& text, std::string_view with, std::string& spare) const;

 private:
  std::string literal_;
  Matcher known_ = nullptr;           // instead of the code, where one is written by hand
  std::shared_ptr<const void> code_;  // pcre2_code; null for a literal
};

}  // namespace ftl
