#include "trainer/tokenizer/pre_tokenizer.h"

#include <algorithm>
#include <map>

#include "trainer/tokenizer/utf8.h"

namespace ftl {
namespace {

constexpr std::string_view gpt2_expression =
    "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

const std::map<std::string, SplitBehavior, std::less<>> behaviors = {
    {"Isolated", SplitBehavior::isolated},
    {"Removed", SplitBehavior::removed},
    {"Contiguous", SplitBehavior::contiguous},
    {"MergedWithPrevious", SplitBehavior::merged_with_previous},
    {"MergedWithNext", SplitBehavior::merged_with_next},
};

struct Part {
  Span span;
  bool match;
};

void merge_with_previous(std::vector<Part>& parts) {
  std::vector<Part> out;
  bool previous = false;
  for (const Part& part : parts) {
    if (part.match && !previous && !out.empty()) {
      out.back().span.end = part.span.end;
    } else {
      out.push_back(part);
    }
    previous = part.match;
  }
  parts.swap(out);
}

void merge_with_next(std::vector<Part>& parts) {
  std::vector<Part> out;
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
  parts.swap(out);
}

void arrange(std::vector<Part>& parts, SplitBehavior behavior) {
  switch (behavior) {
    case SplitBehavior::isolated: return;
    case SplitBehavior::removed: std::erase_if(parts, [](const Part& part) { return part.match; }); return;
    case SplitBehavior::contiguous: {
      std::vector<Part> out;
      for (const Part& part : parts) {
        if (!out.empty() && out.back().match == part.match) {
          out.back().span.end = part.span.end;
        } else {
          out.push_back(part);
        }
      }
      parts.swap(out);
      return;
    }
    case SplitBehavior::merged_with_previous: return merge_with_previous(parts);
    case SplitBehavior::merged_with_next: return merge_with_next(parts);
  }
}

void split(Pieces& pieces, const Pattern& pattern, SplitBehavior behavior, bool invert) {
  std::vector<Span> out, matches;
  std::vector<Part> parts;
  out.reserve(pieces.spans.size());
  for (const Span& piece : pieces.spans) {
    matches.clear();
    parts.clear();
    pattern.find_all(std::string_view(pieces.text).substr(piece.begin, piece.end - piece.begin), matches);
    std::size_t done = piece.begin;
    for (const Span& match : matches) {
      if (piece.begin + match.begin > done) parts.push_back({{done, piece.begin + match.begin}, invert});
      done = piece.begin + match.end;
      parts.push_back({{piece.begin + match.begin, done}, !invert});
    }
    if (done < piece.end) parts.push_back({{done, piece.end}, invert});
    arrange(parts, behavior);
    for (const Part& part : parts) out.push_back(part.span);
  }
  pieces.spans.swap(out);
}

// Replaces the text of each piece: Rewrite(view of the piece, is it the first) -> string.
template <class Rewrite>
void rewrite(Pieces& pieces, Rewrite rewrite_piece) {
  std::string text;
  text.reserve(pieces.text.size() + pieces.text.size() / 4);
  for (Span& piece : pieces.spans) {
    const std::size_t begin = text.size();
    text += rewrite_piece(std::string_view(pieces.text).substr(piece.begin, piece.end - piece.begin), piece.begin == 0);
    piece = {begin, text.size()};
  }
  pieces.text.swap(text);
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
  if (!view.raw().is_null()) pre_tokenizer.add(view);
  return pre_tokenizer;
}

void PreTokenizer::add(const JsonView& view) {
  const std::string type = view.text("type");
  if (view.failed()) return;
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
    add_split(known_expression("[!-/:-@\\[-`{-~\\p{P}]"), behavior, false);
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
      rewrite(pieces, [](std::string_view piece, bool) {
        std::string text(piece.starts_with(' ') ? 0 : 1, ' ');
        return text += piece;
      });
    });
  }
  if (view.flag("use_regex", true)) add_split(known_expression(gpt2_expression), SplitBehavior::isolated, false);
  steps_.emplace_back(
      [](Pieces& pieces) { rewrite(pieces, [](std::string_view piece, bool) { return to_byte_alphabet(piece); }); });
}

void PreTokenizer::add_metaspace(const JsonView& view) {
  const std::string mark = view.text_or("replacement", "\xE2\x96\x81");
  const std::string scheme = view.text_or("prepend_scheme", view.flag("add_prefix_space", true) ? "always" : "never");
  if (mark.empty()) return view.complain("the replacement is empty");
  if (scheme != "always" && scheme != "first" && scheme != "never") {
    return view.complain(std::string("prepend_scheme ") + in_quotes(scheme) + " is not known");
  }
  const auto space = std::make_shared<const Pattern>(Pattern::literal(" "));
  steps_.emplace_back([mark, scheme, space](Pieces& pieces) {
    rewrite(pieces, [&](std::string_view piece, bool first) {
      std::string text = space->replace_all(piece, mark);
      const bool wanted = scheme == "always" || (scheme == "first" && first && pieces.at_text_start);
      return wanted && !text.starts_with(mark) ? mark + text : text;
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
