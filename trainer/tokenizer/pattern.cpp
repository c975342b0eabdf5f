#include "trainer/tokenizer/pattern.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "trainer/tokenizer/utf8.h"

namespace ftl {
namespace {

constexpr std::size_t max_expression_bytes = 64 * 1024;
constexpr std::string_view white_space = "\\t-\\r\\x{85}\\p{Z}";  // PCRE2's \s has U+180E besides
constexpr std::string_view word = "\\p{L}\\p{M}\\p{Nd}\\p{Pc}";   // PCRE2's \w lacks marks, has all numbers

Failure refuse(std::string_view what) {
  return Failure{FaultKind::tokenizer_invalid,
                 "the expression uses " + std::string(what) + ", which is not supported in this version", "", ""};
}

// Copies an expression piece by piece and knows where the last atom began, for quantifiers that mean another thing.
class Rewriter {
 public:
  explicit Rewriter(std::string_view in) : in_(in) {}

  Result<std::string> run() {
    while (at_ < in_.size()) {
      if (const char* problem = step()) return refuse(problem);
    }
    return out_;
  }

 private:
  const char* step() {
    const char c = in_[at_];
    if (c == '\\') return escape(false);
    if (c == '[') return character_class();
    if (c == '(') return open_group();
    if (c == ')') {
      if (!groups_.empty()) {
        atom_ = groups_.back();
        groups_.pop_back();
      }
      out_ += c;
      ++at_;
      return nullptr;
    }
    if (c == '{') return counted_repetition();
    if (c != '*' && c != '+' && c != '?') atom_ = out_.size();
    out_ += c;
    ++at_;
    return nullptr;
  }

  const char* open_group() {
    groups_.push_back(out_.size());
    if (in_.substr(at_, 2) == "(?") {
      for (std::size_t i = at_ + 2; i < in_.size() && (in_[i] == '-' || (in_[i] >= 'a' && in_[i] <= 'z')); ++i) {
        if (in_[i] == 'm') return "the inline option (?m)";
      }
    }
    out_ += '(';
    ++at_;
    return nullptr;
  }

  // \p{..}, \x{..} and the like are copied with their braces.
  const char* escape(bool in_class) {
    if (at_ + 1 >= in_.size()) return "a backslash at its end";
    if (!in_class) atom_ = out_.size();
    const char c = in_[at_ + 1];
    at_ += 2;
    if (c == 'h' || c == 'H') return "\\h";
    if ((c == 's' || c == 'w') || (!in_class && (c == 'S' || c == 'W'))) {
      const std::string set(c == 's' || c == 'S' ? white_space : word);
      out_ += in_class ? set : (c == 'S' || c == 'W' ? "[^" : "[") + set + "]";
      return nullptr;
    }
    out_ += '\\';
    out_ += c;
    if ((c == 'p' || c == 'P' || c == 'x' || c == 'k' || c == 'g') && at_ < in_.size() && in_[at_] == '{') {
      const std::size_t close = in_.find('}', at_);
      if (close == std::string_view::npos) return "an unclosed brace";
      out_ += in_.substr(at_, close + 1 - at_);
      at_ = close + 1;
    }
    return nullptr;
  }

  const char* character_class() {
    atom_ = out_.size();
    out_ += '[';
    ++at_;
    if (at_ < in_.size() && in_[at_] == '^') out_ += in_[at_++];
    if (const char* problem = class_members(0)) return problem;
    out_ += ']';
    return nullptr;
  }

  // Up to the bracket that closes the class. A class inside a class is its members, unless it is negated.
  const char* class_members(int depth) {
    for (bool first = true; at_ < in_.size(); first = false) {
      const char c = in_[at_];
      if (c == '\\') {
        if (const char* problem = escape(true)) return problem;
        continue;
      }
      if (c == '[') {
        const std::size_t close = in_.find(":]", at_);
        if (in_.substr(at_, 2) != "[:" || close == std::string_view::npos) {
          if (depth == 8 || in_.substr(at_, 2) == "[^" || in_.substr(at_, 2) == "[]")
            return "such a class inside a class";
          ++at_;
          if (const char* problem = class_members(depth + 1)) return problem;
          continue;
        }
        out_ += in_.substr(at_, close + 2 - at_);
        at_ = close + 2;
        continue;
      }
      if (in_.substr(at_, 2) == "&&") return "an intersection of classes";
      ++at_;
      if (c == ']' && !first) return nullptr;
      out_ += c;
    }
    return "an unclosed class";
  }

  const char* counted_repetition() {
    const std::size_t close = in_.find('}', at_);
    const std::size_t digits_end = in_.find_first_not_of("0123456789,", at_ + 1);
    if (close == std::string_view::npos || digits_end != close || close == at_ + 1) {
      atom_ = out_.size();
      out_ += "\\{";
      ++at_;
      return nullptr;
    }
    out_ += in_[at_ + 1] == ',' ? "{0" : "{";
    out_ += in_.substr(at_ + 1, close - at_);
    at_ = close + 1;
    if (at_ < in_.size() && in_[at_] == '+') {
      const std::string atom = out_.substr(atom_);
      out_.resize(atom_);
      out_ += "(?:";
      out_ += atom;
      out_ += ")+";
      ++at_;
    }
    return nullptr;
  }

  std::string_view in_;
  std::size_t at_ = 0;
  std::string out_;
  std::size_t atom_ = 0;
  std::vector<std::size_t> groups_;
};

// One per thread: match data, limits and the JIT's stack are reused by every pattern.
struct MatchRoom {
  pcre2_match_data* data = pcre2_match_data_create(1, nullptr);
  pcre2_match_context* context = pcre2_match_context_create(nullptr);
  pcre2_jit_stack* stack = pcre2_jit_stack_create(32 * 1024, 4 * 1024 * 1024, nullptr);
  MatchRoom() {
    pcre2_set_match_limit(context, 10'000'000);
    pcre2_set_heap_limit(context, 64 * 1024);  // KiB
    pcre2_jit_stack_assign(context, nullptr, stack);
  }
  ~MatchRoom() {
    pcre2_match_data_free(data);
    pcre2_match_context_free(context);
    pcre2_jit_stack_free(stack);
  }
  MatchRoom(const MatchRoom&) = delete;
  MatchRoom& operator=(const MatchRoom&) = delete;
};

}  // namespace

Result<std::string> to_pcre2(std::string_view oniguruma) {
  if (oniguruma.size() > max_expression_bytes) return refuse("more than 65536 bytes");
  return Rewriter(oniguruma).run();
}

Pattern Pattern::literal(std::string text) {
  Pattern pattern;
  pattern.literal_ = std::move(text);
  return pattern;
}

Result<Pattern> Pattern::regex(std::string_view oniguruma) {
  Pattern pattern;
  pattern.known_ = matcher_of(oniguruma);
  return pattern.known_ ? Result<Pattern>(std::move(pattern)) : compiled(oniguruma);
}

Result<Pattern> Pattern::compiled(std::string_view oniguruma) {
  Result<std::string> rewritten = to_pcre2(oniguruma);
  if (!rewritten) return rewritten.error();
  int error = 0;
  PCRE2_SIZE offset = 0;
  // MULTILINE: ^ and $ are always line anchors in Ruby syntax.
  pcre2_code* code =
      pcre2_compile(reinterpret_cast<PCRE2_SPTR>(rewritten->data()), rewritten->size(),
                    PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C, &error, &offset, nullptr);
  if (!code) {
    PCRE2_UCHAR message[160] = {};
    pcre2_get_error_message(error, message, sizeof message);
    return Failure{FaultKind::tokenizer_invalid,
                   "the expression cannot be compiled: " + std::string(reinterpret_cast<const char*>(message)), "", ""};
  }
  pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);  // where there is no JIT, matching interprets
  Pattern pattern;
  pattern.code_ = std::shared_ptr<const void>(code, [code](const void*) { pcre2_code_free(code); });
  return pattern;
}

std::shared_ptr<const Pattern> Pattern::from_json(const JsonView& view) {
  if (view.has("String")) {
    std::string text = view.text("String");
    if (text.empty()) view.complain("the pattern is empty");
    return view.failed() ? nullptr : std::make_shared<const Pattern>(literal(std::move(text)));
  }
  const std::string expression = view.text("Regex");
  if (view.failed()) return nullptr;
  Result<Pattern> pattern = regex(expression);
  if (!pattern) {
    view.complain(pattern.error().what);
    return nullptr;
  }
  return std::make_shared<const Pattern>(std::move(*pattern));
}

void Pattern::find_all(std::string_view text, std::vector<Span>& matches) const {
  if (known_) {
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t end = known_(text, at);
      if (end > at) matches.push_back({at, end});
      at = end > at ? end : at + first_code_point(text.substr(at)).length;
    }
    return;
  }
  if (!code_) {
    for (std::size_t at = 0; (at = text.find(literal_, at)) != std::string_view::npos; at += literal_.size()) {
      matches.push_back({at, at + literal_.size()});
    }
    return;
  }
  thread_local MatchRoom room;
  const auto* code = static_cast<const pcre2_code*>(code_.get());
  const PCRE2_SIZE* span = pcre2_get_ovector_pointer(room.data);
  for (std::size_t at = 0; at < text.size();) {
    const int found = pcre2_match(code, reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), at, PCRE2_NO_UTF_CHECK,
                                  room.data, room.context);
    if (found < 0 || span[1] < span[0]) return;
    if (span[1] > span[0]) {
      matches.push_back({span[0], span[1]});
      at = span[1];
      continue;
    }
    at = span[1] + 1;  // empty: go on behind the next character
    while (at < text.size() && (static_cast<unsigned char>(text[at]) & 0xC0u) == 0x80u) ++at;
  }
}

void Pattern::replace_all(std::string& text, std::string_view with, std::string& spare) const {
  const std::string_view whole = text;
  std::size_t copied = 0;
  spare.clear();
  const auto replace = [&](std::size_t begin, std::size_t end) {
    spare.append(whole, copied, begin - copied);
    spare += with;
    copied = end;
  };
  if (!known_ && !code_) {
    for (std::size_t at = 0; (at = whole.find(literal_, at)) != std::string_view::npos; at = copied)
      replace(at, at + literal_.size());
  } else {
    std::vector<Span> matches;
    find_all(whole, matches);
    for (const Span& match : matches) replace(match.begin, match.end);
  }
  if (copied == 0) return;
  spare.append(whole, copied);
  text.swap(spare);
}

}  // namespace ftl
