#include "trainer/tokenizer/added_tokens.h"

#include <algorithm>

#include <utf8proc.h>

#include "trainer/tokenizer/utf8.h"

namespace ftl {
namespace {

bool is_word(char32_t c) {
  switch (utf8proc_category(static_cast<utf8proc_int32_t>(c))) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_PC: return true;
    default: return false;
  }
}

bool stands_alone(std::string_view text, std::size_t begin, std::size_t end) {
  const bool left = begin == 0 || !is_word(last_code_point(text.substr(0, begin)).value);
  const bool right = end == text.size() || !is_word(first_code_point(text.substr(end)).value);
  return left && right;
}

}  // namespace

void AddedTokenFinder::add(const AddedToken& token, std::string_view content) {
  if (content.empty()) return;
  first_[static_cast<unsigned char>(content[0])] = true;
  std::uint32_t node = 0;
  for (const char c : content) {
    const std::uint64_t edge = static_cast<std::uint64_t>(node) << 8 | static_cast<unsigned char>(c);
    const auto [found, fresh] = edges_.try_emplace(edge, static_cast<std::uint32_t>(ends_.size()));
    if (fresh) ends_.push_back(-1);
    node = found->second;
  }
  ends_[node] = static_cast<std::int32_t>(tokens_.size());
  tokens_.push_back(token);
}

AddedTokenFinder::Match AddedTokenFinder::longest_at(std::string_view text) const {
  Match best;
  std::uint32_t node = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto edge = edges_.find(static_cast<std::uint64_t>(node) << 8 | static_cast<unsigned char>(text[i]));
    if (edge == edges_.end()) break;
    node = edge->second;
    if (ends_[node] >= 0) best = {i + 1, ends_[node]};
  }
  return best;
}

void AddedTokenFinder::split(std::string_view text, std::vector<Part>& parts) const {
  parts.clear();
  std::size_t done = 0;  // all before is in `parts`
  for (std::size_t at = tokens_.empty() ? text.size() : 0; at < text.size();) {
    while (!first_[static_cast<unsigned char>(text[at])] && ++at < text.size()) continue;
    if (at == text.size()) break;
    const Match match = longest_at(text.substr(at));
    if (match.token < 0 || at < done) {  // at < done: rstrip has taken this white space already
      ++at;
      continue;
    }
    const AddedToken& token = tokens_[static_cast<std::size_t>(match.token)];
    std::size_t begin = at, end = at + match.length;
    at = end;
    if (token.single_word && !stands_alone(text, begin, end)) continue;
    while (token.lstrip && begin > done && is_white_space(last_code_point(text.substr(0, begin)).value)) {
      begin -= last_code_point(text.substr(0, begin)).length;
    }
    while (token.rstrip && end < text.size() && is_white_space(first_code_point(text.substr(end)).value)) {
      end += first_code_point(text.substr(end)).length;
    }
    if (begin > done) parts.push_back({text.substr(done, begin - done), -1});
    parts.push_back({text.substr(begin, end - begin), token.id});
    done = end;
  }
  if (done < text.size()) parts.push_back({text.substr(done), -1});
}

}  // namespace ftl
