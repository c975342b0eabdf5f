#include "trainer/chat_template/string_format.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <optional>
#include <string>

#include "trainer/chat_template/evaluator.h"
#include "trainer/chat_template/printing.h"
#include "trainer/chat_template/template_error.h"
#include "trainer/tokenizer/utf8.h"

namespace ftl::chat {
namespace {

struct Spec {
  std::string fill = " ";
  char align = '\0';  // '<', '>', '^', '=' (between sign and digits); 0: the type's own
  char sign = '-';
  bool alternate = false;
  char grouping = '\0';
  std::int64_t width = 0;
  std::optional<int> precision;
  char type = '\0';
};

[[noreturn]] void refuse(char type, const Value& value) {
  throw TemplateError(std::string("the format `") + type + "` does not go with `" + type_name(value) + "`");
}

// Digits at `at`, which moves behind them.
std::int64_t number_at(std::string_view text, std::size_t& at, std::int64_t most) {
  std::int64_t number = 0;
  while (at < text.size() && text[at] >= '0' && text[at] <= '9') {
    number = number * 10 + (text[at++] - '0');
    if (number > most) throw TemplateError("a width or precision in a format is larger than " + std::to_string(most));
  }
  return number;
}

constexpr std::int64_t widest = 1'000'000, most_precise = 300;

std::string in_base(std::int64_t value, int base, bool upper_case) {
  std::array<char, 72> buffer{};
  const bool is_negative = value < 0;
  const std::uint64_t size = is_negative ? 0 - static_cast<std::uint64_t>(value) : static_cast<std::uint64_t>(value);
  std::string digits(buffer.data(), std::to_chars(buffer.data(), buffer.data() + buffer.size(), size, base).ptr);
  if (upper_case) std::ranges::transform(digits, digits.begin(), [](char c) { return c >= 'a' ? c - 'a' + 'A' : c; });
  return (is_negative ? "-" : "") + digits;
}

std::string grouped(std::string digits, char separator) {
  const std::size_t end = std::min(digits.find_first_of(".e"), digits.size());
  for (std::size_t at = end; at > 3 && separator != '\0';) {
    at -= 3;
    if (at > 0 && digits[at - 1] != '-') digits.insert(at, 1, separator);
  }
  return digits;
}

std::string c_format(double value, char type, int precision, bool alternate) {
  std::array<char, 800> buffer{};
  const std::string format = std::string(alternate ? "%#.*" : "%.*") + type;
  const int size = std::snprintf(buffer.data(), buffer.size(), format.c_str(), precision, value);
  return std::string(buffer.data(), static_cast<std::size_t>(size));
}

std::string real_digits(double value, const Spec& spec) {
  if (!std::isfinite(value)) return real_text(value);
  switch (spec.type) {
    case '\0':
      if (!spec.precision) return real_text(value);
      return c_format(value, 'g', std::max(*spec.precision, 1), spec.alternate);
    case '%': return c_format(value * 100, 'f', spec.precision.value_or(6), false) + "%";
    case 'n': return c_format(value, 'g', spec.precision.value_or(6), false);
    default: return c_format(value, spec.type, spec.precision.value_or(6), spec.alternate);
  }
}

std::string whole_digits(std::int64_t value, const Spec& spec) {
  const bool upper_case = spec.type == 'X';
  const int base = spec.type == 'x' || upper_case ? 16 : spec.type == 'o' ? 8 : spec.type == 'b' ? 2 : 10;
  std::string digits = in_base(value, base, upper_case);
  if (spec.alternate && base != 10) digits.insert(digits.starts_with('-') ? 1 : 0, std::string("0") + spec.type);
  return digits;
}

Text number_text(const Value& value, const Spec& spec, Meter& meter) {
  std::int64_t whole = 0;
  const bool is_whole = value.whole(whole);
  const bool wants_real = spec.type != '\0' && std::string_view("eEfFgG%").find(spec.type) != std::string_view::npos;
  const bool wants_whole = spec.type != '\0' && std::string_view("dxXob").find(spec.type) != std::string_view::npos;
  if (!is_whole && wants_whole) refuse(spec.type, value);
  if (!wants_real && !wants_whole && spec.type != '\0' && spec.type != 'n') refuse(spec.type, value);
  const double real = is_whole ? static_cast<double>(whole) : *value.real();
  std::string digits = is_whole && !wants_real ? whole_digits(whole, spec) : real_digits(real, spec);
  digits = grouped(std::move(digits), spec.grouping);
  const bool is_negative = digits.starts_with('-');
  if (!is_negative && spec.sign != '-') digits.insert(0, 1, spec.sign);
  if (spec.align != '=') return padded(Text(digits), spec.width, spec.fill, spec.align ? spec.align : '>', meter);
  const std::size_t sign = is_negative || spec.sign != '-' ? 1 : 0;
  const auto missing = spec.width - static_cast<std::int64_t>(digits.size());
  if (missing > 0) meter.take_copies(spec.fill.size(), missing);
  for (std::int64_t i = 0; i < missing; ++i) digits.insert(sign, spec.fill);
  return Text(digits);
}

Text cut(const Text& text, std::optional<int> precision) {
  if (!precision) return text;
  return text.slice(0, byte_of_code_point(text.view(), static_cast<std::size_t>(*precision)));
}

Text with_spec(const Value& value, const Spec& spec, Meter& meter) {
  if (value.is_number() && !(value.boolean() && spec.type == '\0')) return number_text(value, spec, meter);
  if (spec.type != '\0' && spec.type != 's') refuse(spec.type, value);
  if (spec.align == '=') throw TemplateError("`=` aligns numbers only");
  return padded(cut(shown(value, meter), spec.precision), spec.width, spec.fill, spec.align ? spec.align : '<', meter);
}

bool is_align(char c) { return c == '<' || c == '>' || c == '^' || c == '='; }

// [[fill]align][sign][#][0][width][grouping][.precision][type]
Spec parse_spec(std::string_view text) {
  Spec spec;
  std::size_t at = 0;
  const std::size_t first = text.empty() ? 0 : first_code_point(text).length;
  if (first < text.size() && is_align(text[first])) {
    spec.fill = text.substr(0, first);
    spec.align = text[first];
    at = first + 1;
  } else if (!text.empty() && is_align(text[0])) {
    spec.align = text[at++];
  }
  auto next = [&](std::string_view any) {
    return at < text.size() && any.find(text[at]) != std::string_view::npos ? text[at++] : '\0';
  };
  if (const char sign = next("+- ")) spec.sign = sign;
  spec.alternate = next("#") != '\0';
  if (next("0") && spec.align == '\0') {
    spec.fill = "0";
    spec.align = '=';
  }
  spec.width = number_at(text, at, widest);
  spec.grouping = next(",_");
  if (next(".")) spec.precision = static_cast<int>(number_at(text, at, most_precise));
  spec.type = next("sdxXobeEfFgGn%");
  if (at != text.size()) throw TemplateError("the format `" + std::string(text.substr(0, 80)) + "` is not understood");
  return spec;
}

// The values of `%`: a tuple gives one after another, a dict by name, anything else is the only one.
class PercentValues {
 public:
  explicit PercentValues(const Value& values) : values_(values) {
    const Sequence* sequence = values.sequence();
    tuple_ = sequence && sequence->kind == SequenceKind::tuple ? sequence : nullptr;
  }
  Value next() {
    if (tuple_ ? used_ >= tuple_->items.size() : used_ > 0) {
      throw TemplateError("not enough values for the format string");
    }
    return tuple_ ? tuple_->items[used_++] : (++used_, values_);
  }
  Value named(std::string_view name) const {
    if (!values_.dict()) throw TemplateError("a format with names needs a dict");
    const Value* found = values_.dict()->find(name);
    if (found == nullptr) throw TemplateError("the format names `" + std::string(name) + "`, which is not given");
    return *found;
  }
  void check_all_used() const {
    const bool too_many = tuple_ ? used_ < tuple_->items.size() : used_ == 0 && !values_.dict() && !values_.sequence();
    if (too_many) throw TemplateError("not all values were used by the format string");
  }

 private:
  const Value& values_;
  const Sequence* tuple_;
  std::size_t used_ = 0;
};

Text percent_value(const Value& value, Spec spec, Meter& meter) {
  if (spec.align == '\0') spec.align = '>';
  std::int64_t whole = 0;
  switch (spec.type) {
    case 's':
      return padded(cut(shown(value, meter), spec.precision), spec.width, " ", spec.align == '<' ? '<' : '>', meter);
    case 'r':
    case 'a':
      return padded(cut(repr(value, meter), spec.precision), spec.width, " ", spec.align == '<' ? '<' : '>', meter);
    case 'i':
    case 'u': spec.type = 'd'; [[fallthrough]];
    case 'd':
      if (value.real() && std::abs(*value.real()) < 9e18)
        return number_text(static_cast<std::int64_t>(*value.real()), spec, meter);
      [[fallthrough]];
    case 'x':
    case 'X':
    case 'o':
      if (!value.whole(whole)) refuse(spec.type, value);
      return number_text(whole, spec, meter);
    case 'e':
    case 'E':
    case 'f':
    case 'F':
    case 'g':
    case 'G':
      if (!value.is_number()) refuse(spec.type, value);
      return number_text(value, spec, meter);
    default: throw TemplateError(std::string("the format `%") + spec.type + "` is not understood");
  }
}

}  // namespace

Text padded(const Text& text, std::int64_t width, std::string_view fill, char align, Meter& meter) {
  const std::int64_t missing = width - static_cast<std::int64_t>(code_points(text.view()));
  if (missing <= 0) return text;
  meter.take_copies(fill.size(), missing);
  const std::int64_t before = align == '>' ? missing : align == '^' ? missing / 2 : 0;
  std::string left, right;
  for (std::int64_t i = 0; i < missing; ++i) (i < before ? left : right) += fill;
  Text all(left);
  all.append(text);
  all.append(right);
  return all;
}

Text percent_format(const Text& format, const Value& values, Meter& meter) {
  const std::string_view text = format.view();
  PercentValues left(values);
  Text out;
  meter.take(text.size());
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t percent = std::min(text.find('%', at), text.size());
    if (percent > at) out.append(format.slice(at, percent));
    if (percent == text.size()) break;
    at = percent + 1;
    std::optional<std::string_view> name;
    if (at < text.size() && text[at] == '(') {
      const std::size_t close = text.find(')', at);
      if (close == text.npos) throw TemplateError("a name in a format has no end");
      name = text.substr(at + 1, close - at - 1);
      at = close + 1;
    }
    Spec spec;
    for (; at < text.size() && std::string_view("-+ 0#").find(text[at]) != text.npos; ++at) {
      if (text[at] == '-') spec.align = '<';
      if (text[at] == '+' || (text[at] == ' ' && spec.sign != '+')) spec.sign = text[at];
      if (text[at] == '#') spec.alternate = true;
      if (text[at] == '0' && spec.align != '<') {
        spec.fill = "0";
        spec.align = '=';
      }
    }
    spec.width = number_at(text, at, widest);
    if (at < text.size() && text[at] == '.') spec.precision = static_cast<int>(number_at(text, ++at, most_precise));
    if (at >= text.size()) throw TemplateError("the format string ends in the middle of a format");
    spec.type = text[at++];
    if (spec.align == '<') spec.fill = " ";
    out.append(spec.type == '%' ? Text("%") : percent_value(name ? left.named(*name) : left.next(), spec, meter));
    meter.check_string(out.size());
  }
  left.check_all_used();
  return out;
}

namespace {

// One `{field!conversion:spec}`.
class Field {
 public:
  Field(Evaluator& evaluator, const Arguments& arguments, std::size_t& automatic)
      : evaluator_(evaluator), arguments_(arguments), automatic_(automatic) {}

  Text text(std::string_view written) {
    const std::size_t colon = std::min(written.find(':'), written.size());
    std::string_view name = written.substr(0, colon);
    const std::string_view spec = colon < written.size() ? written.substr(colon + 1) : std::string_view();
    char conversion = '\0';
    if (name.size() >= 2 && name[name.size() - 2] == '!') {
      conversion = name.back();
      name.remove_suffix(2);
    }
    if (spec.find('{') != spec.npos) throw TemplateError("a format within a format is not in this version");
    Value value = value_of(name);
    Meter& meter = evaluator_.meter();
    if (conversion == 'r') value = repr(value, meter);
    if (conversion == 's') value = shown(value, meter);
    if (conversion != '\0' && conversion != 'r' && conversion != 's') {
      throw TemplateError(std::string("the conversion `!") + conversion + "` is not understood");
    }
    return spec.empty() ? shown(value, meter) : with_spec(value, parse_spec(spec), meter);
  }

 private:
  Value value_of(std::string_view name) {
    const std::size_t end = std::min(name.find_first_of(".["), name.size());
    Value value = first(name.substr(0, end));
    for (std::size_t at = end; at < name.size();) {
      const bool is_item = name[at] == '[';
      const std::size_t stop = std::min(is_item ? name.find(']', at) : name.find_first_of(".[", at + 1), name.size());
      const std::string_view part = name.substr(at + 1, stop - at - 1);
      value = is_item ? evaluator_.item(value, key(part)) : evaluator_.attribute(value, part);
      if (value.is_undefined())
        throw TemplateError("a format asks for `" + std::string(part) + "`, which is not there");
      at = is_item ? std::min(stop + 1, name.size()) : stop;
    }
    return value;
  }
  static Value key(std::string_view part) {
    std::size_t at = 0;
    const std::int64_t number = number_at(part, at, widest);
    return at == part.size() && !part.empty() ? Value(number) : Value(std::string(part));
  }
  Value first(std::string_view name) {
    if (name.empty()) return positional(automatic_++);
    const Value index = key(name);
    if (index.integer()) return positional(static_cast<std::size_t>(*index.integer()));
    for (const auto& [known, value] : arguments_.named) {
      if (known == name) return value;
    }
    throw TemplateError("the format names `" + std::string(name) + "`, which is not given");
  }
  Value positional(std::size_t index) const {
    if (index < arguments_.positional.size()) return arguments_.positional[index];
    throw TemplateError("the format asks for value " + std::to_string(index) + ", " +
                        std::to_string(arguments_.positional.size()) + " are given");
  }

  Evaluator& evaluator_;
  const Arguments& arguments_;
  std::size_t& automatic_;
};

}  // namespace

Text brace_format(Evaluator& evaluator, const Text& format, const Arguments& arguments) {
  const std::string_view text = format.view();
  Text out;
  std::size_t automatic = 0;
  evaluator.meter().take(text.size());
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t brace = std::min(text.find_first_of("{}", at), text.size());
    if (brace > at) out.append(format.slice(at, brace));
    if (brace == text.size()) break;
    if (text.substr(brace, 2) == "{{" || text.substr(brace, 2) == "}}") {
      out.append(format.slice(brace, brace + 1));
      at = brace + 2;
      continue;
    }
    const std::size_t close = text[brace] == '{' ? text.find('}', brace) : text.npos;
    if (close == text.npos) throw TemplateError("a single brace in a format string");
    out.append(Field(evaluator, arguments, automatic).text(text.substr(brace + 1, close - brace - 1)));
    evaluator.meter().check_string(out.size());
    at = close + 1;
  }
  return out;
}

}  // namespace ftl::chat
