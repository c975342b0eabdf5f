// Filters on numbers.
#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <optional>

#include "trainer/chat_template/characters.h"
#include "trainer/chat_template/evaluator.h"
#include "trainer/chat_template/filters.h"
#include "trainer/chat_template/operators.h"
#include "trainer/chat_template/printing.h"
#include "trainer/chat_template/template_error.h"
#include "trainer/chat_template/text_operations.h"

namespace ftl::chat::filters {
namespace {

// Python's numbers in texts: blanks around them and single underscores within do not count.
std::optional<std::string> digits_of(std::string_view text) {
  text.remove_prefix(leading_space(text));
  text.remove_suffix(trailing_space(text));
  std::string plain;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '_') {
      plain += text[i];
    } else if (i == 0 || i + 1 == text.size() || !std::isalnum(static_cast<unsigned char>(text[i - 1])) ||
               text[i + 1] == '_') {
      return std::nullopt;
    }
  }
  return plain;
}

std::optional<std::int64_t> whole_in(std::string_view text, std::int64_t base) {
  const std::optional<std::string> digits = digits_of(text);
  if (!digits || base < 0 || base == 1 || base > 36) return std::nullopt;
  std::string_view rest = *digits;
  const bool is_negative = rest.starts_with('-');
  if (is_negative || rest.starts_with('+')) rest.remove_prefix(1);
  if (rest.size() > 2 && rest[0] == '0') {
    const char c = static_cast<char>(std::tolower(static_cast<unsigned char>(rest[1])));
    const int written = c == 'x' ? 16 : c == 'o' ? 8 : c == 'b' ? 2 : 0;
    if (written != 0 && (base == written || base == 0)) {
      rest.remove_prefix(2);
      base = written;
    }
  }
  if (base == 0) base = 10;
  if (rest.empty() || rest[0] == '-' || rest[0] == '+') return std::nullopt;
  const std::string signed_digits = (is_negative ? "-" : "") + std::string(rest);
  std::int64_t value = 0;
  const char* end = signed_digits.data() + signed_digits.size();
  const auto [stop, error] = std::from_chars(signed_digits.data(), end, value, static_cast<int>(base));
  if (error == std::errc::result_out_of_range) throw TemplateError("an integer does not fit 64 bits");
  if (error != std::errc() || stop != end) return std::nullopt;
  return value;
}

std::optional<double> real_in(std::string_view text) {
  const std::optional<std::string> digits = digits_of(text);
  if (!digits) return std::nullopt;
  std::string_view rest = *digits;
  if (rest.starts_with('+')) rest.remove_prefix(1);
  if (rest.empty() || rest.starts_with('+') || rest.find_first_of("()") != rest.npos) return std::nullopt;
  double value = 0;
  const auto [stop, error] = std::from_chars(rest.data(), rest.data() + rest.size(), value);
  if (error == std::errc::result_out_of_range) {
    return rest.find("e-") != rest.npos ? 0.0 : std::numeric_limits<double>::infinity();
  }
  if (error != std::errc() || stop != rest.data() + rest.size()) return std::nullopt;
  return value;
}

std::optional<std::int64_t> truncated(double value) {
  if (!std::isfinite(value)) return std::nullopt;
  if (std::abs(value) >= 9.2e18) throw TemplateError("an integer does not fit 64 bits");
  return static_cast<std::int64_t>(value);
}

double rounded_to(double value, std::int64_t precision) {
  if (!std::isfinite(value)) return value;
  if (precision >= 0) {
    std::array<char, 800> buffer{};
    std::snprintf(buffer.data(), buffer.size(), "%.*f", static_cast<int>(precision), value);  // half to even, exactly
    return std::strtod(buffer.data(), nullptr);
  }
  const double scale = std::pow(10.0, static_cast<double>(-precision));
  return std::nearbyint(value / scale) * scale;
}

}  // namespace

Value absolute(Evaluator&, const Value& value, const Arguments& arguments) {
  const Bound bound("abs", arguments, {});
  std::int64_t whole = 0;
  if (value.real()) return std::abs(*value.real());
  if (!value.whole(whole)) throw TemplateError("`abs` needs a number, not `" + type_name(value) + "`");
  return whole < 0 ? negated(whole) : Value(whole);
}

Value whole(Evaluator&, const Value& value, const Arguments& arguments) {
  const Bound bound("int", arguments, {"default", "base"});
  if (value.is_undefined()) throw TemplateError("`int` of an undefined value");
  std::int64_t number = 0;
  if (value.whole(number)) return number;
  std::optional<std::int64_t> found;
  if (const Text* text = value.text()) {
    found = whole_in(text->view(), bound.integer(1, 10));
    if (const std::optional<double> real = found ? std::nullopt : real_in(text->view())) found = truncated(*real);
  } else if (value.real()) {
    found = truncated(*value.real());
  }
  if (found) return *found;
  return bound.has(0) ? bound[0] : Value(std::int64_t{0});
}

Value real(Evaluator&, const Value& value, const Arguments& arguments) {
  const Bound bound("float", arguments, {"default"});
  if (value.is_undefined()) throw TemplateError("`float` of an undefined value");
  std::int64_t number = 0;
  if (value.real()) return value;
  if (value.whole(number)) return static_cast<double>(number);
  if (const Text* text = value.text()) {
    if (const std::optional<double> found = real_in(text->view())) return *found;
  }
  return bound.has(0) ? bound[0] : Value(0.0);
}

Value round(Evaluator& evaluator, const Value& value, const Arguments& arguments) {
  const Bound bound("round", arguments, {"precision", "method"});
  const std::int64_t precision = bound.integer(0, 0);
  const std::string method = bound.has(1) ? evaluator.shown(bound[1]).bytes() : "common";
  if (method != "common" && method != "ceil" && method != "floor") {
    throw TemplateError("`round` knows \"common\", \"ceil\" and \"floor\", not " + quoted(method));
  }
  if (precision < -300 || precision > 300) throw TemplateError("the precision of `round` lies outside -300..300");
  std::int64_t number = 0;
  const bool is_whole = value.whole(number);
  if (!is_whole && !value.real()) throw TemplateError("`round` needs a number, not `" + type_name(value) + "`");
  if (method == "common") {
    if (!is_whole) return rounded_to(*value.real(), precision);
    return precision >= 0 ? Value(number) : Value(*truncated(rounded_to(static_cast<double>(number), precision)));
  }
  const double scale = std::pow(10.0, static_cast<double>(precision));
  const double scaled = (is_whole ? static_cast<double>(number) : *value.real()) * scale;
  return (method == "ceil" ? std::ceil(scaled) : std::floor(scaled)) / scale;
}

Value sum(Evaluator& evaluator, const Value& value, const Arguments& arguments) {
  const Bound bound("sum", arguments, {"attribute", "start"});
  Value total = bound.has(1) ? bound[1] : Value(std::int64_t{0});
  if (total.text()) throw TemplateError("`sum` adds no strings, use `join`");
  for (const Value& item : evaluator.iterate(value)) {
    evaluator.meter().step();
    const Value part = bound.is_none_or_missing(0) ? item : named_part(evaluator, item, bound[0]);
    total = binary(BinaryOperator::add, total, part, evaluator.meter());
  }
  return total;
}

}  // namespace ftl::chat::filters
