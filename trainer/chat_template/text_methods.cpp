#include "trainer/chat_template/text_methods.h"

#include <algorithm>
#include <optional>
#include <string>

#include "trainer/chat_template/characters.h"
#include "trainer/chat_template/evaluator.h"
#include "trainer/chat_template/operators.h"
#include "trainer/chat_template/string_format.h"
#include "trainer/chat_template/template_error.h"
#include "trainer/chat_template/text_operations.h"
#include "trainer/tokenizer/utf8.h"

namespace ftl::chat {
namespace {

Value not_in_this_version(Evaluator&, const Value&, const Arguments&) {
  throw TemplateError("this method of `str` is not in this version");
}

template <std::string (*change)(std::string_view)>
Value changed(Evaluator& evaluator, const Value& self, const Arguments& arguments) {
  const Bound bound("a method", arguments, {});
  evaluator.meter().take(3 * self.text()->size());
  return self.text()->remade(change(self.text()->view()));
}

template <Ends ends>
Value strip(Evaluator& evaluator, const Value& self, const Arguments& arguments) {
  const Bound bound("strip", arguments, {"chars"});
  std::optional<std::string_view> characters;
  if (!bound.is_none_or_missing(0)) characters = bound.text(0).view();
  return stripped(*self.text(), characters, ends, evaluator.meter());
}

Value list_of(std::vector<Text> parts) {
  Sequence list;
  for (Text& part : parts) list.items.emplace_back(std::move(part));
  return list;
}

Value split(Evaluator& evaluator, const Value& self, const Arguments& arguments) {
  const Bound bound("split", arguments, {"sep", "maxsplit"});
  const std::int64_t most = bound.integer(1, -1);
  if (bound.is_none_or_missing(0)) return list_of(split_at_space(*self.text(), most, evaluator.meter()));
  return list_of(chat::split(*self.text(), bound.text(0).view(), most, evaluator.meter()));
}

Value rsplit(Evaluator& evaluator, const Value& self, const Arguments& arguments) {
  const Bound bound("rsplit", arguments, {"sep", "maxsplit"});
  const std::int64_t most = bound.integer(1, -1);
  if (bound.is_none_or_missing(0)) return list_of(split_at_space_from_right(*self.text(), most, evaluator.meter()));
  return list_of(split_from_right(*self.text(), bound.text(0).view(), most, evaluator.meter()));
}

Value splitlines(Evaluator& evaluator, const Value& self, const Arguments& arguments) {
  const Bound bound("splitlines", arguments, {"keepends"});
  return list_of(lines(*self.text(), bound.flag(0, false), evaluator.meter()));
}

template <bool from_right>
Value partition(Evaluator& evaluator, const Value& self, const Arguments& arguments) {
  const Bound bound("partition", arguments, {"sep"}, 1);
  const Text &text = *self.text(), &separator = bound.text(0);
  std::vector<Text> parts = from_right ? split_from_right(text, separator.view(), 1, evaluator.meter())
                                       : chat::split(text, separator.view(), 1, evaluator.meter());
  Sequence three{SequenceKind::tuple};
  if (parts.size() == 1) {
    three.items = from_right ? std::vector<Value>{"", "", parts[0]} : std::vector<Value>{parts[0], "", ""};
  } else {
    three.items = {parts[0], separator, parts[1]};
  }
  return three;
}

// The bytes that `start` and `end` (code points, as of a slice) leave.
struct Window {
  std::size_t begin, end;
  bool is_valid;
};
Window window(const Text& text, const Bound& bound, std::size_t first, Meter& meter) {
  meter.take(text.size());
  const auto size = static_cast<std::int64_t>(code_points(text.view()));
  auto place = [&](std::size_t index, std::int64_t fallback) {
    std::int64_t at = bound.is_none_or_missing(index) ? fallback : bound.integer(index, fallback);
    return at < 0 ? std::max<std::int64_t>(at + size, 0) : at;
  };
  const std::int64_t start = place(first, 0), end = std::min(place(first + 1, size), size);
  if (start > size || start > end) return {0, 0, false};
  return {byte_of_code_point(text.view(), static_cast<std::size_t>(start)),
          byte_of_code_point(text.view(), static_cast<std::size_t>(end)), true};
}

template <bool at_end>
Value has_at(Evaluator& evaluator, const Value& self, const Arguments& arguments) {
  const Bound bound(at_end ? "endswith" : "startswith", arguments, {"affix", "start", "end"}, 1);
  const Window part = window(*self.text(), bound, 1, evaluator.meter());
  if (!part.is_valid) return false;
  const std::string_view text = self.text()->view().substr(part.begin, part.end - part.begin);
  const auto fits = [&](const Text& affix) {
    evaluator.meter().take(affix.size());
    return at_end ? text.ends_with(affix.view()) : text.starts_with(affix.view());
  };
  const Sequence* tuple = bound[0].sequence();
  if (tuple == nullptr || tuple->kind != SequenceKind::tuple) return fits(bound.text(0));
  for (const Value& item : tuple->items) {
    if (!item.text()) throw TemplateError("a tuple of `str` is expected");
    if (fits(*item.text())) return true;
  }
  return false;
}

template <bool from_right, bool must_find>
Value find(Evaluator& evaluator, const Value& self, const Arguments& arguments) {
  const Bound bound("find", arguments, {"sub", "start", "end"}, 1);
  Meter& meter = evaluator.meter();
  const Window part = window(*self.text(), bound, 1, meter);
  const std::string_view needle = bound.text(0).view(), text = self.text()->view().substr(0, part.end);
  std::size_t found = std::string_view::npos;
  if (part.is_valid && !from_right) found = find_in(text, needle, part.begin, meter);
  if (part.is_valid && from_right) {
    meter.take_copies(std::max<std::size_t>(needle.size(), 1), static_cast<std::int64_t>(part.end - part.begin));
    const std::size_t in_part = text.substr(part.begin).rfind(needle);
    if (in_part != std::string_view::npos) found = part.begin + in_part;
  }
  if (found != std::string_view::npos) return static_cast<std::int64_t>(code_points(text.substr(0, found)));
  if (must_find) throw TemplateError("the substring is not found");
  return std::int64_t{-1};
}

Value count(Evaluator& evaluator, const Value& self, const Arguments& arguments) {
  const Bound bound("count", arguments, {"sub", "start", "end"}, 1);
  const Window part = window(*self.text(), bound, 1, evaluator.meter());
  if (!part.is_valid) return std::int64_t{0};
  const std::string_view text = self.text()->view().substr(0, part.end), needle = bound.text(0).view();
  if (needle.empty()) return static_cast<std::int64_t>(code_points(text.substr(part.begin))) + 1;
  std::int64_t times = 0;
  for (std::size_t at = part.begin;; ++times) {
    at = find_in(text, needle, at, evaluator.meter());
    if (at == std::string_view::npos) return times;
    at += needle.size();
  }
}

Value replace(Evaluator& evaluator, const Value& self, const Arguments& arguments) {
  const Bound bound("replace", arguments, {"old", "new", "count"}, 2);
  return replaced(*self.text(), bound.text(0), bound.text(1), bound.integer(2, -1), evaluator.meter());
}

template <bool prefix>
Value remove_affix(Evaluator&, const Value& self, const Arguments& arguments) {
  const Bound bound(prefix ? "removeprefix" : "removesuffix", arguments, {"affix"}, 1);
  const Text &text = *self.text(), &affix = bound.text(0);
  if (prefix) return text.view().starts_with(affix.view()) ? text.slice(affix.size(), text.size()) : text;
  return text.view().ends_with(affix.view()) ? text.slice(0, text.size() - affix.size()) : text;
}

Value join(Evaluator& evaluator, const Value& self, const Arguments& arguments) {
  const Bound bound("join", arguments, {"iterable"}, 1);
  std::vector<Text> parts;
  for (const Value& item : evaluator.iterate(bound[0])) {
    if (!item.text()) throw TemplateError("`join` needs `str`, found `" + type_name(item) + "`");
    parts.push_back(*item.text());
  }
  return joined(*self.text(), parts, evaluator.meter());
}

Value format(Evaluator& evaluator, const Value& self, const Arguments& arguments) {
  return brace_format(evaluator, *self.text(), arguments);
}

template <char align>
Value pad(Evaluator& evaluator, const Value& self, const Arguments& arguments) {
  const Bound bound("a padding method", arguments, {"width", "fillchar"}, 1);
  const Text fill = bound.has(1) ? bound.text(1) : Text(" ");
  if (code_points(fill.view()) != 1) throw TemplateError("the fill must be one character");
  if (align == '^') return centred(*self.text(), bound.integer(0, 0), fill.view(), evaluator.meter());
  return padded(*self.text(), bound.integer(0, 0), fill.view(), align, evaluator.meter());
}

Value zfill(Evaluator& evaluator, const Value& self, const Arguments& arguments) {
  const Bound bound("zfill", arguments, {"width"}, 1);
  const Text& text = *self.text();
  const bool has_sign = !text.empty() && (text.bytes()[0] == '-' || text.bytes()[0] == '+');
  Text out = text.slice(0, has_sign ? 1 : 0);
  out.append(padded(text.slice(has_sign ? 1 : 0, text.size()), bound.integer(0, 0) - (has_sign ? 1 : 0), "0", '>',
                    evaluator.meter()));
  return out;
}

// A text that is not empty and whose characters are all so.
template <auto is_so>
Value is_all(Evaluator& evaluator, const Value& self, const Arguments& arguments) {
  const Bound bound("a method", arguments, {});
  evaluator.meter().take(self.text()->size());
  for (std::string_view rest = self.text()->view(); !rest.empty();) {
    const CodePoint point = first_code_point(rest);
    if (!is_so(point.value)) return false;
    rest.remove_prefix(point.length);
  }
  return !self.text()->empty();
}

template <bool (*is_so)(std::string_view)>
Value is_text(Evaluator& evaluator, const Value& self, const Arguments& arguments) {
  const Bound bound("a method", arguments, {});
  evaluator.meter().take(self.text()->size());
  return is_so(self.text()->view());
}

bool is_alphanumeric(char32_t c) { return c != '_' && is_name_character(c); }

constexpr Method table[] = {
    {"capitalize", changed<capitalized>},
    {"casefold", not_in_this_version},
    {"center", pad<'^'>},
    {"count", count},
    {"encode", not_in_this_version},
    {"endswith", has_at<true>},
    {"expandtabs", not_in_this_version},
    {"find", find<false, false>},
    {"format", format},
    {"format_map", not_in_this_version},
    {"index", find<false, true>},
    {"isalnum", is_all<is_alphanumeric>},
    {"isalpha", is_all<is_letter>},
    {"isascii", not_in_this_version},
    {"isdecimal", is_all<is_digit>},
    {"isdigit", is_all<is_digit>},
    {"isidentifier", not_in_this_version},
    {"islower", is_text<is_all_lower>},
    {"isnumeric", is_all<is_digit>},
    {"isprintable", not_in_this_version},
    {"isspace", is_all<is_space>},
    {"istitle", not_in_this_version},
    {"isupper", is_text<is_all_upper>},
    {"join", join},
    {"ljust", pad<'<'>},
    {"lower", changed<lower>},
    {"lstrip", strip<Ends::left>},
    {"maketrans", not_in_this_version},
    {"partition", partition<false>},
    {"removeprefix", remove_affix<true>},
    {"removesuffix", remove_affix<false>},
    {"replace", replace},
    {"rfind", find<true, false>},
    {"rindex", find<true, true>},
    {"rjust", pad<'>'>},
    {"rpartition", partition<true>},
    {"rsplit", rsplit},
    {"rstrip", strip<Ends::right>},
    {"split", split},
    {"splitlines", splitlines},
    {"startswith", has_at<false>},
    {"strip", strip<Ends::both>},
    {"swapcase", not_in_this_version},
    {"title", changed<title_case>},
    {"translate", not_in_this_version},
    {"upper", changed<upper>},
    {"zfill", zfill},
};

}  // namespace

std::span<const Method> text_methods() { return table; }

}  // namespace ftl::chat
