// Filters whose result is a text or counts one.
#include <optional>
#include <string>

#include "trainer/chat_template/characters.h"
#include "trainer/chat_template/evaluator.h"
#include "trainer/chat_template/filters.h"
#include "trainer/chat_template/operators.h"
#include "trainer/chat_template/printing.h"
#include "trainer/chat_template/string_format.h"
#include "trainer/chat_template/template_error.h"
#include "trainer/chat_template/text_operations.h"
#include "trainer/tokenizer/utf8.h"

namespace ftl::chat::filters {
namespace {

// A text of the same length or so, made by `change`.
Value changed(Evaluator& evaluator, const Value& value, const Arguments& arguments, std::string_view name,
              std::string (*change)(std::string_view)) {
  const Bound bound(name, arguments, {});
  const Text text = evaluator.shown(value);
  evaluator.meter().take(3 * text.size());
  return text.remade(change(text.view()));
}

// Jinja's title: words begin behind blanks, hyphens and opening brackets.
std::string words_in_title_case(std::string_view text) {
  std::string out;
  const auto begins_word = [](char32_t c) {
    return is_space(c) || c == '-' || c == '(' || c == '{' || c == '[' || c == '<';
  };
  for (std::size_t at = 0; at < text.size();) {
    std::size_t end = at;
    const bool is_gap = begins_word(first_code_point(text.substr(at)).value);
    while (end < text.size()) {
      const CodePoint point = first_code_point(text.substr(end));
      if (begins_word(point.value) != is_gap) break;
      end += point.length;
    }
    const std::size_t first = at + first_code_point(text.substr(at)).length;
    out += upper(text.substr(at, first - at)) + lower(text.substr(first, end - first));
    at = end;
  }
  return out;
}

std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&': out += "&amp;"; break;
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '\'': out += "&#39;"; break;
      case '"': out += "&#34;"; break;
      default: out += c;
    }
  }
  return out;
}

std::string url_quoted(std::string_view text, bool is_query) {
  constexpr std::string_view plain = "_.-~", hex = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    const bool is_word = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
    if (is_word || plain.find(c) != plain.npos || (c == '/' && !is_query)) {
      out += c;
    } else if (c == ' ' && is_query) {
      out += '+';
    } else {
      (out += '%') += hex[byte >> 4];
      out += hex[byte & 0xF];
    }
  }
  return out;
}

}  // namespace

Value capitalize(Evaluator& evaluator, const Value& value, const Arguments& arguments) {
  return changed(evaluator, value, arguments, "capitalize", capitalized);
}
Value escape(Evaluator& evaluator, const Value& value, const Arguments& arguments) {
  return changed(evaluator, value, arguments, "escape", escaped);
}
Value lower_case(Evaluator& evaluator, const Value& value, const Arguments& arguments) {
  return changed(evaluator, value, arguments, "lower", lower);
}
Value title(Evaluator& evaluator, const Value& value, const Arguments& arguments) {
  return changed(evaluator, value, arguments, "title", words_in_title_case);
}
Value upper_case(Evaluator& evaluator, const Value& value, const Arguments& arguments) {
  return changed(evaluator, value, arguments, "upper", upper);
}

Value string(Evaluator& evaluator, const Value& value, const Arguments& arguments) {
  const Bound bound("string", arguments, {});
  return evaluator.shown(value);
}

// Markup is not escaped here, so what is marked as safe is a text like any other.
Value safe(Evaluator& evaluator, const Value& value, const Arguments& arguments) {
  const Bound bound("safe", arguments, {});
  return evaluator.shown(value);
}

Value trim(Evaluator& evaluator, const Value& value, const Arguments& arguments) {
  const Bound bound("trim", arguments, {"chars"});
  std::optional<std::string_view> characters;
  if (!bound.is_none_or_missing(0)) characters = bound.text(0).view();
  return stripped(evaluator.shown(value), characters, Ends::both, evaluator.meter());
}

Value replace(Evaluator& evaluator, const Value& value, const Arguments& arguments) {
  const Bound bound("replace", arguments, {"old", "new", "count"}, 2);
  const std::int64_t most = bound.is_none_or_missing(2) ? -1 : bound.integer(2, -1);
  return replaced(evaluator.shown(value), evaluator.shown(bound[0]), evaluator.shown(bound[1]), most,
                  evaluator.meter());
}

Value format(Evaluator& evaluator, const Value& value, const Arguments& arguments) {
  if (!arguments.named.empty() && !arguments.positional.empty()) {
    throw TemplateError("`format` takes positional or named arguments, not both");
  }
  Value values = Sequence{SequenceKind::tuple, arguments.positional};
  if (!arguments.named.empty()) {
    Dict named;
    for (const auto& [name, given] : arguments.named) named.set(Value(name), given);
    values = Value(std::move(named));
  }
  return percent_format(evaluator.shown(value), values, evaluator.meter());
}

Value center(Evaluator& evaluator, const Value& value, const Arguments& arguments) {
  const Bound bound("center", arguments, {"width"});
  return centred(evaluator.shown(value), bound.integer(0, 80), " ", evaluator.meter());
}

Value indent(Evaluator& evaluator, const Value& value, const Arguments& arguments) {
  const Bound bound("indent", arguments, {"width", "first", "blank"});
  if (!value.text()) throw TemplateError("`indent` needs a `str`, not `" + type_name(value) + "`");
  Meter& meter = evaluator.meter();
  Text margin;
  if (bound.has(0) && bound[0].text()) {
    margin = *bound[0].text();
  } else {
    margin = padded(Text(), bound.integer(0, 4), " ", '<', meter);
  }
  Text text = *value.text();
  text.append("\n");
  const std::vector<Text> all = lines(text, false, meter);
  const bool blank = bound.flag(2, false);
  Text out = bound.flag(1, false) ? margin : Text();
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (i > 0) out.append("\n");
    if (i > 0 && (blank || !all[i].empty())) out.append(margin);
    out.append(all[i]);
    meter.take(margin.size() + all[i].size());
    meter.check_string(out.size());
  }
  return out;
}

Value truncate(Evaluator& evaluator, const Value& value, const Arguments& arguments) {
  const Bound bound("truncate", arguments, {"length", "killwords", "end", "leeway"});
  if (!value.text()) throw TemplateError("`truncate` needs a `str`, not `" + type_name(value) + "`");
  const Text end = bound.has(2) ? bound.text(2) : Text("...");
  const std::int64_t most = bound.integer(0, 255), leeway = bound.is_none_or_missing(3) ? 5 : bound.integer(3, 5);
  const std::int64_t room = most - length(Value(end));
  if (room < 0 || leeway < 0) throw TemplateError("`truncate` has no room for its end, or a negative leeway");
  if (length(value) <= most + leeway) return value;
  Text kept = *sliced(value, None{}, room, None{}, evaluator.meter()).text();
  if (!bound.flag(1, false)) kept = split_from_right(kept, " ", 1, evaluator.meter()).front();
  kept.append(end);
  return kept;
}

Value wordcount(Evaluator& evaluator, const Value& value, const Arguments& arguments) {
  const Bound bound("wordcount", arguments, {});
  const Text text = evaluator.shown(value);
  evaluator.meter().take(text.size());
  std::int64_t words = 0;
  bool in_word = false;
  for (std::string_view rest = text.view(); !rest.empty();) {
    const CodePoint point = first_code_point(rest);
    const bool is_word = is_name_character(point.value);
    words += is_word && !in_word ? 1 : 0;
    in_word = is_word;
    rest.remove_prefix(point.length);
  }
  return words;
}

Value urlencode(Evaluator& evaluator, const Value& value, const Arguments& arguments) {
  const Bound bound("urlencode", arguments, {});
  if (!value.dict() && !value.sequence()) {
    const Text text = evaluator.shown(value);
    evaluator.meter().take(3 * text.size());
    return text.remade(url_quoted(text.view(), false));
  }
  Text all;
  std::vector<Value> pairs;
  if (value.dict()) {
    for (const auto& [key, item] : value.dict()->entries()) {
      pairs.push_back(Sequence{SequenceKind::tuple, {key, item}});
    }
  } else {
    pairs = evaluator.iterate(value);
  }
  for (const Value& pair : pairs) {
    const std::vector<Value> parts = evaluator.iterate(pair);
    if (parts.size() != 2) throw TemplateError("`urlencode` needs pairs");
    const Text name = evaluator.shown(parts[0]), text = evaluator.shown(parts[1]);
    evaluator.meter().take(3 * (name.size() + text.size()));
    if (!all.empty()) all.append("&");
    all.append(name.remade(url_quoted(name.view(), true)));
    all.append("=");
    all.append(text.remade(url_quoted(text.view(), true)));
    evaluator.meter().check_string(all.size());
  }
  return all;
}

Value tojson(Evaluator& evaluator, const Value& value, const Arguments& arguments) {
  const Bound bound("tojson", arguments, {"ensure_ascii", "indent", "separators", "sort_keys"});
  JsonStyle style;
  style.ascii_only = bound.flag(0, false);
  style.sort_keys = bound.flag(3, false);
  if (!bound.is_none_or_missing(1)) {
    style.indent = bound[1].text() ? bound[1].text()->bytes()
                                   : padded(Text(), bound.integer(1, 0), " ", '<', evaluator.meter()).bytes();
    style.item_separator = ",";
  }
  if (!bound.is_none_or_missing(2)) {
    const std::vector<Value> pair = evaluator.iterate(bound[2]);
    if (pair.size() != 2 || !pair[0].text() || !pair[1].text()) {
      throw TemplateError("`separators` of `tojson` must be two strings");
    }
    style.item_separator = pair[0].text()->bytes();
    style.key_separator = pair[1].text()->bytes();
  }
  return json_text(value, style, evaluator.meter());
}

}  // namespace ftl::chat::filters
