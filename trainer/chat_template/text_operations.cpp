#include "trainer/chat_template/text_operations.h"

#include <algorithm>

#include "trainer/chat_template/characters.h"
#include "trainer/chat_template/operators.h"
#include "trainer/chat_template/string_format.h"
#include "trainer/chat_template/template_error.h"
#include "trainer/tokenizer/utf8.h"

namespace ftl::chat {
namespace {

bool is_one_of(char32_t c, std::optional<std::string_view> characters) {
  if (!characters) return is_space(c);
  for (std::string_view rest = *characters; !rest.empty();) {
    const CodePoint point = first_code_point(rest);
    if (point.value == c) return true;
    rest.remove_prefix(point.length);
  }
  return false;
}

// Python's str.splitlines.
bool ends_line(char32_t c) {
  return (c >= 0x0A && c <= 0x0D) || (c >= 0x1C && c <= 0x1E) || c == 0x85 || c == 0x2028 || c == 0x2029;
}

void take_part(std::vector<Text>& parts, const Text& text, std::size_t begin, std::size_t end, Meter& meter) {
  meter.take(sizeof(Text) + end - begin);
  parts.push_back(text.slice(begin, end));
}

void refuse_empty(std::string_view separator) {
  if (separator.empty()) throw TemplateError("the separator is empty");
}

}  // namespace

Text stripped(const Text& text, std::optional<std::string_view> characters, Ends ends, Meter& meter) {
  meter.take(text.size());
  std::size_t begin = 0, end = text.size();
  const std::size_t cost = characters ? characters->size() : 1;
  while (ends != Ends::right && begin < end) {
    const CodePoint point = first_code_point(text.view().substr(begin));
    meter.take(cost);
    if (!is_one_of(point.value, characters)) break;
    begin += point.length;
  }
  while (ends != Ends::left && begin < end) {
    const CodePoint point = last_code_point(text.view().substr(begin, end - begin));
    meter.take(cost);
    if (!is_one_of(point.value, characters)) break;
    end -= point.length;
  }
  return text.slice(begin, end);
}

Text replaced(const Text& text, const Text& old, const Text& with, std::int64_t most, Meter& meter) {
  Text out;
  std::size_t at = 0;
  for (std::int64_t count = 0; most < 0 || count < most; ++count) {
    const std::size_t from = old.empty() && count > 0 ? at + byte_of_code_point(text.view().substr(at), 1) : at;
    if (old.empty() && count > 0 && at == text.size()) break;
    const std::size_t found = find_in(text.view(), old.view(), from, meter);
    if (found == std::string_view::npos) break;
    meter.take(found - at + with.size() + sizeof(Run) * with.runs().size());
    meter.step();
    out.append(text.slice(at, found));
    out.append(with);
    meter.check_string(out.size());
    at = found + old.size();
  }
  meter.take(text.size() - at);
  out.append(text.slice(at, text.size()));
  return out;
}

std::vector<Text> split(const Text& text, std::string_view separator, std::int64_t most, Meter& meter) {
  refuse_empty(separator);
  std::vector<Text> parts;
  std::size_t at = 0;
  while (most < 0 || static_cast<std::int64_t>(parts.size()) < most) {
    const std::size_t found = find_in(text.view(), separator, at, meter);
    if (found == std::string_view::npos) break;
    take_part(parts, text, at, found, meter);
    at = found + separator.size();
  }
  take_part(parts, text, at, text.size(), meter);
  return parts;
}

std::vector<Text> split_from_right(const Text& text, std::string_view separator, std::int64_t most, Meter& meter) {
  refuse_empty(separator);
  std::vector<Text> parts;
  std::size_t end = text.size();
  while (most < 0 || static_cast<std::int64_t>(parts.size()) < most) {
    // Backwards there is no linear search at hand; a separator's length bounds what each place costs.
    std::size_t found = std::string_view::npos;
    for (std::size_t at = end >= separator.size() ? end - separator.size() + 1 : 0; at-- > 0;) {
      meter.take(1);
      if (text.bytes()[at] != separator.front()) continue;
      meter.take(separator.size());
      if (text.view().substr(at, separator.size()) != separator) continue;
      found = at;
      break;
    }
    if (found == std::string_view::npos) break;
    take_part(parts, text, found + separator.size(), end, meter);
    end = found;
  }
  take_part(parts, text, 0, end, meter);
  std::ranges::reverse(parts);
  return parts;
}

std::vector<Text> split_at_space(const Text& text, std::int64_t most, Meter& meter) {
  std::vector<Text> parts;
  const std::string_view view = text.view();
  meter.take(view.size());
  std::size_t at = leading_space(view);
  while (at < view.size()) {
    if (most >= 0 && static_cast<std::int64_t>(parts.size()) == most) {
      take_part(parts, text, at, view.size(), meter);
      break;
    }
    std::size_t end = at;
    while (end < view.size()) {
      const CodePoint point = first_code_point(view.substr(end));
      if (is_space(point.value)) break;
      end += point.length;
    }
    take_part(parts, text, at, end, meter);
    at = end + leading_space(view.substr(end));
  }
  return parts;
}

std::vector<Text> split_at_space_from_right(const Text& text, std::int64_t most, Meter& meter) {
  std::vector<Text> parts;
  const std::string_view view = text.view();
  meter.take(view.size());
  std::size_t end = view.size() - trailing_space(view);
  while (end > 0) {
    if (most >= 0 && static_cast<std::int64_t>(parts.size()) == most) {
      take_part(parts, text, 0, end, meter);
      break;
    }
    std::size_t begin = end;
    while (begin > 0) {
      const CodePoint point = last_code_point(view.substr(0, begin));
      if (is_space(point.value)) break;
      begin -= point.length;
    }
    take_part(parts, text, begin, end, meter);
    end = begin - trailing_space(view.substr(0, begin));
  }
  std::ranges::reverse(parts);
  return parts;
}

std::vector<Text> lines(const Text& text, bool keep_ends, Meter& meter) {
  std::vector<Text> parts;
  const std::string_view view = text.view();
  meter.take(view.size());
  std::size_t begin = 0;
  for (std::size_t at = 0; at < view.size();) {
    const CodePoint point = first_code_point(view.substr(at));
    std::size_t after = at + point.length;
    if (ends_line(point.value)) {
      if (point.value == '\r' && after < view.size() && view[after] == '\n') ++after;
      take_part(parts, text, begin, keep_ends ? after : at, meter);
      begin = after;
    }
    at = after;
  }
  if (begin < view.size()) take_part(parts, text, begin, view.size(), meter);
  return parts;
}

Text centred(const Text& text, std::int64_t width, std::string_view fill, Meter& meter) {
  const std::int64_t missing = width - static_cast<std::int64_t>(code_points(text.view()));
  if (missing <= 0) return text;
  const std::int64_t left = missing / 2 + (missing & width & 1);
  return padded(padded(text, width - missing + left, fill, '>', meter), width, fill, '<', meter);
}

Text joined(const Text& separator, const std::vector<Text>& parts, Meter& meter) {
  Text all;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    meter.take(parts[i].size() + separator.size() + sizeof(Run) * (parts[i].runs().size() + separator.runs().size()));
    if (i > 0) all.append(separator);
    all.append(parts[i]);
    meter.check_string(all.size());
  }
  return all;
}

}  // namespace ftl::chat
