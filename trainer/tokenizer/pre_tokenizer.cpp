#include "trainer/tokenizer/pre_tokenizer.h"

#include <algorithm>
#include <cassert>
#include <map>

#include "trainer/tokenizer/utf8.h"

namespace ftl {
namespace {

constexpr std::string_view punctuation = "[!-/:-@\\[-`{-~\\p{P}]";

const std::map<std::string, SplitBehavior, std::less<>> behaviors = {
    {"Isolated", SplitBehavior::isolated},
    {"Removed", SplitBehavior::removed},
    {"Contiguous", SplitBehavior::contiguous},
    {"MergedWithPrevious", SplitBehavior::merged_with_previous},
    {"MergedWithNext", SplitBehavior::merged_with_next},
};

using Part = Pieces::Part;

void merge_with_previous(const std::vector<Part>& parts, std::vector<Part>& out) {
  bool previous = false;
  for (const Part& part : parts) {
    if (part.match && !previous && !out.empty()) {
      out.back().span.end = part.span.end;
    } else {
      out.push_back(part);
    }
    previous = part.match;
  }
}

void merge_with_next(const std::vector<Part>& parts, std::vector<Part>& out) {
  bool previous = false;
  for (auto part = parts.rbegin(); part != parts.rend(); ++part) {
    if (part->match && !previous && !out.empty()) {
      out.back().span.begin = part->span.begin;
    } else {
      out.push_back(*part);
    }
    previous = part->match;
  }
  std::reverse(out.begin(), out.end());
}

void join_equal(const std::vector<Part>& parts, std::vector<Part>& out) {
  for (const Part& part : parts) {
    if (!out.empty() && out.back().match == part.match) {
      out.back().span.end = part.span.end;
    } else {
      out.push_back(part);
    }
  }
}

// Gaps and matches of one piece, put together as the behaviour says.
void arrange(Pieces& pieces, SplitBehavior behavior) {
  std::vector<Part>& parts = pieces.parts;
  pieces.arranged.clear();
  switch (behavior) {
    case SplitBehavior::isolated: return;
    case SplitBehavior::removed: std::erase_if(parts, [](const Part& part) { return part.match; }); return;
    case SplitBehavior::contiguous: join_equal(parts, pieces.arranged); break;
    case SplitBehavior::merged_with_previous: merge_with_previous(parts, pieces.arranged); break;
    case SplitBehavior::merged_with_next: merge_with_next(parts, pieces.arranged); break;
  }
  parts.swap(pieces.arranged);
}

// The usual case: gaps and matches both are pieces.
void isolate(Pieces& pieces, const Span& piece) {
  std::size_t done = piece.begin;
  for (const Span& match : pieces.matches) {
    if (piece.begin + match.begin > done) pieces.refined.push_back({done, piece.begin + match.begin});
    done = piece.begin + match.end;
    pieces.refined.push_back({piece.begin + match.begin, done});
  }
  if (done < piece.end) pieces.refined.push_back({done, piece.end});
}

void split(Pieces& pieces, const Pattern& pattern, SplitBehavior behavior, bool invert) {
  pieces.refined.clear();
  for (const Span& piece : pieces.spans) {
    pieces.matches.clear();
    pattern.find_all(pieces.text.substr(piece.begin, piece.end - piece.begin), pieces.matches);
    if (behavior == SplitBehavior::isolated) {
      isolate(pieces, piece);
      continue;
    }
    pieces.parts.clear();
    std::size_t done = piece.begin;
    for (const Span& match : pieces.matches) {
      if (piece.begin + match.begin > done) pieces.parts.push_back({{done, piece.begin + match.begin}, invert});
      done = piece.begin + match.end;
      pieces.parts.push_back({{piece.begin + match.begin, done}, !invert});
    }
    if (done < piece.end) pieces.parts.push_back({{done, piece.end}, invert});
    arrange(pieces, behavior);
    for (const Part& part : pieces.parts) pieces.refined.push_back(part.span);
  }
  pieces.spans.swap(pieces.refined);
}

// Replaces the text of each piece: Rewrite(view of the piece, is it the first, where to append the new text).
template <class Rewrite>
void rewrite(Pieces& pieces, Rewrite rewrite_piece) {
  pieces.rewritten.clear();
  for (Span& piece : pieces.spans) {
    const std::size_t begin = pieces.rewritten.size();
    rewrite_piece(pieces.text.substr(piece.begin, piece.end - piece.begin), piece.begin == 0, pieces.rewritten);
    piece = {begin, pieces.rewritten.size()};
  }
  pieces.own.swap(pieces.rewritten);
  pieces.text = pieces.own;
}

std::shared_ptr<const Pattern> known_expression(std::string_view expression) {
  Result<Pattern> pattern = Pattern::regex(expression);
  assert(pattern.has_value());
  return std::make_shared<const Pattern>(std::move(*pattern));
}

SplitBehavior read_behavior(const JsonView& view) {
  const std::string name = view.text("behavior");
  const auto found = behaviors.find(name);
  if (found != behaviors.end()) return found->second;
  view.complain(std::string("behavior ") + in_quotes(name) + " is not known");
  return SplitBehavior::isolated;
}

}  // namespace

PreTokenizer PreTokenizer::from_json(const JsonView& view) {
  PreTokenizer pre_tokenizer;
  if (!view.is_null()) pre_tokenizer.add(view);
  return pre_tokenizer;
}

void PreTokenizer::add(const JsonView& view) {
  const std::string type = view.text("type");
  if (view.failed()) return;
  ends_with_byte_alphabet_ = false;
  if (type == "Sequence") {
    for (const JsonView& element : view.at("pretokenizers").elements()) add(element);
  } else if (type == "ByteLevel") {
    add_byte_level(view);
  } else if (type == "Metaspace") {
    add_metaspace(view);
  } else if (type == "Split") {
    add_split(Pattern::from_json(view.at("pattern")), read_behavior(view), view.flag("invert", false));
  } else if (type == "CharDelimiterSplit") {
    const std::string delimiter = view.text("delimiter");
    if (delimiter.empty()) return view.complain("the delimiter is empty");
    add_split(std::make_shared<const Pattern>(Pattern::literal(delimiter)), SplitBehavior::removed, false);
  } else if (type == "Digits") {
    const bool single = view.flag("individual_digits", false);
    add_split(known_expression("\\p{N}"), single ? SplitBehavior::isolated : SplitBehavior::contiguous, false);
  } else if (type == "Punctuation") {
    const SplitBehavior behavior = view.has("behavior") ? read_behavior(view) : SplitBehavior::isolated;
    add_split(known_expression(punctuation), behavior, false);
  } else if (type == "BertPreTokenizer") {
    add_split(known_expression("\\s"), SplitBehavior::removed, false);
    add_split(known_expression(punctuation), SplitBehavior::isolated, false);
  } else if (type == "WhitespaceSplit") {
    add_split(known_expression("\\s"), SplitBehavior::removed, false);
  } else if (type == "Whitespace") {
    add_split(known_expression("[\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\p{Join_Control}]+|"
                               "[^\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\p{Join_Control}\\s]+"),
              SplitBehavior::removed, true);
  } else {
    view.complain_unsupported("pre_tokenizer", type);
  }
}

void PreTokenizer::add_split(std::shared_ptr<const Pattern> pattern, SplitBehavior behavior, bool invert) {
  steps_.emplace_back(
      [pattern = std::move(pattern), behavior, invert](Pieces& pieces) { split(pieces, *pattern, behavior, invert); });
}

void PreTokenizer::add_byte_level(const JsonView& view) {
  if (view.flag("add_prefix_space", true)) {
    steps_.emplace_back([](Pieces& pieces) {
      rewrite(pieces, [](std::string_view piece, bool, std::string& out) {
        if (!piece.starts_with(' ')) out += ' ';
        out += piece;
      });
    });
  }
  if (view.flag("use_regex", true)) add_split(known_expression(gpt2_expression), SplitBehavior::isolated, false);
  steps_.emplace_back([](Pieces& pieces) {
    rewrite(pieces, [](std::string_view piece, bool, std::string& out) { out += to_byte_alphabet(piece); });
  });
  ends_with_byte_alphabet_ = true;
}

void PreTokenizer::spare_byte_alphabet() {
  assert(ends_with_byte_alphabet_);
  steps_.pop_back();
  ends_with_byte_alphabet_ = false;
}

void PreTokenizer::add_metaspace(const JsonView& view) {
  const std::string mark = view.text_or("replacement", "\xE2\x96\x81");
  const std::string scheme = view.text_or("prepend_scheme", view.flag("add_prefix_space", true) ? "always" : "never");
  if (mark.empty()) return view.complain("the replacement is empty");
  if (scheme != "always" && scheme != "first" && scheme != "never") {
    return view.complain(std::string("prepend_scheme ") + in_quotes(scheme) + " is not known");
  }
  steps_.emplace_back([mark, scheme](Pieces& pieces) {
    rewrite(pieces, [&](std::string_view piece, bool first, std::string& out) {
      const bool wanted = scheme == "always" || (scheme == "first" && first && pieces.at_text_start);
      if (wanted && !piece.starts_with(' ') && !piece.starts_with(mark)) out += mark;
      for (std::size_t space; (space = piece.find(' ')) != std::string_view::npos; piece.remove_prefix(space + 1)) {
        out += piece.substr(0, space);
        out += mark;
      }
      out += piece;
    });
  });
  if (view.flag("split", true)) {
    add_split(std::make_shared<const Pattern>(Pattern::literal(mark)), SplitBehavior::merged_with_next, false);
  }
}

void PreTokenizer::apply(Pieces& pieces) const {
  pieces.spans.clear();
  if (!pieces.text.empty()) pieces.spans.push_back({0, pieces.text.size()});
  for (const auto& step : steps_) step(pieces);
}

}  // namespace ftl
