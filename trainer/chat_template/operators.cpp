#include "trainer/chat_template/operators.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <optional>

#include "trainer/chat_template/string_format.h"
#include "trainer/chat_template/template_error.h"

namespace ftl::chat {
namespace {

constexpr const char* signs[] = {"+", "-", "*", "/", "//", "%", "**"};

[[noreturn]] void unsupported(BinaryOperator op, const Value& left, const Value& right) {
  for (const Value* value : {&left, &right}) {
    if (const auto* undefined = std::get_if<Undefined>(&value->data()); undefined && undefined->why) {
      throw TemplateError(*undefined->why);
    }
  }
  throw TemplateError(std::string("`") + signs[static_cast<std::size_t>(op)] + "` does not go between `" +
                      type_name(left) + "` and `" + type_name(right) + "`");
}

[[noreturn]] void overflow() { throw TemplateError("an integer does not fit 64 bits"); }

std::int64_t whole_power(std::int64_t base, std::int64_t exponent) {
  std::int64_t result = 1;
  while (exponent > 0) {
    if (exponent & 1) {
      if (__builtin_mul_overflow(result, base, &result)) overflow();
    }
    exponent >>= 1;
    if (exponent > 0 && __builtin_mul_overflow(base, base, &base)) overflow();
  }
  return result;
}

void refuse_zero(bool is_zero) {
  if (is_zero) throw TemplateError("division by zero");
}

Value whole_result(BinaryOperator op, std::int64_t a, std::int64_t b) {
  std::int64_t result = 0;
  const auto least = std::numeric_limits<std::int64_t>::min();
  switch (op) {
    case BinaryOperator::add:
      if (__builtin_add_overflow(a, b, &result)) overflow();
      return result;
    case BinaryOperator::subtract:
      if (__builtin_sub_overflow(a, b, &result)) overflow();
      return result;
    case BinaryOperator::multiply:
      if (__builtin_mul_overflow(a, b, &result)) overflow();
      return result;
    case BinaryOperator::divide: refuse_zero(b == 0); return static_cast<double>(a) / static_cast<double>(b);
    case BinaryOperator::floor_divide:
      refuse_zero(b == 0);
      if (a == least && b == -1) overflow();
      return a / b - (a % b != 0 && (a < 0) != (b < 0) ? 1 : 0);
    case BinaryOperator::modulo:
      refuse_zero(b == 0);
      if (b == -1) return std::int64_t{0};
      result = a % b;
      return result != 0 && (result < 0) != (b < 0) ? result + b : result;
    case BinaryOperator::power:
      if (b >= 0) return whole_power(a, b);
      refuse_zero(a == 0);
      return std::pow(static_cast<double>(a), static_cast<double>(b));
  }
  return {};
}

Value real_power(double a, double b) {
  refuse_zero(a == 0 && b < 0);
  const double result = std::pow(a, b);
  if (a < 0 && std::floor(b) != b) throw TemplateError("a complex number is not in this version");
  if (std::isinf(result) && std::isfinite(a) && std::isfinite(b)) throw TemplateError("a power is out of range");
  return result;
}

Value real_result(BinaryOperator op, double a, double b) {
  switch (op) {
    case BinaryOperator::add: return a + b;
    case BinaryOperator::subtract: return a - b;
    case BinaryOperator::multiply: return a * b;
    case BinaryOperator::divide: refuse_zero(b == 0); return a / b;
    case BinaryOperator::floor_divide: refuse_zero(b == 0); return std::floor(a / b);
    case BinaryOperator::modulo: {
      refuse_zero(b == 0);
      const double rest = std::fmod(a, b);
      if (rest == 0) return std::copysign(0.0, b);
      return (rest < 0) != (b < 0) ? rest + b : rest;
    }
    case BinaryOperator::power: return real_power(a, b);
  }
  return {};
}

double real_of(const Value& value) {
  std::int64_t whole = 0;
  return value.whole(whole) ? static_cast<double>(whole) : *value.real();
}

std::string copies(const std::string& text, std::size_t count) {
  const std::size_t size = text.size() * count;
  std::string all;
  all.reserve(size);
  all = text;
  while (all.size() < size) all.append(all, 0, std::min(all.size(), size - all.size()));
  return all;
}

Value repeated(const Value& value, std::int64_t count, Meter& meter) {
  if (const Text* text = value.text()) {
    meter.take_copies(text->size() + text->runs().size() * sizeof(Run), count);
    if (count <= 0 || text->empty()) return Text();
    if (text->runs().empty()) return Text(copies(text->bytes(), static_cast<std::size_t>(count)));
    Text all;
    meter.step(count);
    for (std::int64_t i = 0; i < count; ++i) all.append(*text);
    return all;
  }
  const Sequence& sequence = *value.sequence();
  meter.take_copies(sequence.items.size() * sizeof(Value), count);
  Sequence all{sequence.kind};
  for (std::int64_t i = 0; i < count && !sequence.items.empty(); ++i) {
    all.items.insert(all.items.end(), sequence.items.begin(), sequence.items.end());
  }
  return all;
}

bool is_list_or_tuple(const Value& value) {
  const Sequence* sequence = value.sequence();
  return sequence && (sequence->kind == SequenceKind::list || sequence->kind == SequenceKind::tuple);
}

std::optional<Value> sequence_result(BinaryOperator op, const Value& left, const Value& right, Meter& meter) {
  std::int64_t count = 0;
  if (op == BinaryOperator::multiply) {
    if ((left.text() || is_list_or_tuple(left)) && right.whole(count)) return repeated(left, count, meter);
    if ((right.text() || is_list_or_tuple(right)) && left.whole(count)) return repeated(right, count, meter);
  }
  if (op != BinaryOperator::add) return std::nullopt;
  if (left.text() && right.text()) {
    meter.take(left.text()->size() + right.text()->size());
    Text both = *left.text();
    both.append(*right.text());
    meter.check_string(both.size());
    return Value(std::move(both));
  }
  if (is_list_or_tuple(left) && is_list_or_tuple(right) && left.sequence()->kind == right.sequence()->kind) {
    meter.take((left.sequence()->items.size() + right.sequence()->items.size()) * sizeof(Value));
    Sequence both = *left.sequence();
    both.items.insert(both.items.end(), right.sequence()->items.begin(), right.sequence()->items.end());
    return Value(std::move(both));
  }
  return std::nullopt;
}

bool is_bound(const Value& value) { return value.is_none() || value.integer() || value.boolean(); }

std::optional<std::int64_t> bound_of(const Value& value) {
  std::int64_t whole = 0;
  return value.whole(whole) ? std::optional(whole) : std::nullopt;
}

struct SliceRange {
  std::int64_t start, stop, step;
};

// As PySlice_AdjustIndices.
SliceRange adjusted(const Value& start, const Value& stop, const Value& step, std::int64_t size) {
  const std::int64_t stride = std::max(bound_of(step).value_or(1), -std::numeric_limits<std::int64_t>::max());
  if (stride == 0) throw TemplateError("the step of a slice is 0");
  auto place = [&](std::optional<std::int64_t> bound, std::int64_t fallback) {
    if (!bound) return fallback;
    if (*bound < 0) *bound += size;
    const std::int64_t least = stride < 0 ? -1 : 0, most = stride < 0 ? size - 1 : size;
    return std::clamp(*bound, least, std::max(least, most));
  };
  return {place(bound_of(start), stride < 0 ? size - 1 : 0), place(bound_of(stop), stride < 0 ? -1 : size), stride};
}

std::vector<std::size_t> indices(const SliceRange& range) {
  std::vector<std::size_t> all;
  for (std::int64_t i = range.start; range.step > 0 ? i < range.stop : i > range.stop; i += range.step) {
    all.push_back(static_cast<std::size_t>(i));
    if (range.step > 0 ? i > range.stop - range.step : i < range.stop - range.step) break;
  }
  return all;
}

Value sliced_text(const Text& text, const Value& start, const Value& stop, const Value& step, Meter& meter) {
  meter.take(2 * text.size() + text.runs().size() * sizeof(Run));
  const auto size = static_cast<std::int64_t>(code_points(text.view()));
  const SliceRange range = adjusted(start, stop, step, size);
  if (range.step == 1) {
    const std::size_t begin = byte_of_code_point(text.view(), static_cast<std::size_t>(range.start));
    const std::size_t end = byte_of_code_point(text.view(), static_cast<std::size_t>(range.stop));
    return text.slice(begin, std::max(begin, end));
  }
  std::vector<std::size_t> begins;
  meter.take((static_cast<std::size_t>(size) + 1) * sizeof(std::size_t));
  for (std::size_t at = 0; at < text.size(); at = at + byte_of_code_point(text.view().substr(at), 1))
    begins.push_back(at);
  begins.push_back(text.size());
  Text picked;
  for (const std::size_t i : indices(range)) {
    meter.step(1 + static_cast<std::int64_t>(text.runs().size()));
    picked.append(text.slice(begins[i], begins[i + 1]));
  }
  return picked;
}

}  // namespace

Value binary(BinaryOperator op, const Value& left, const Value& right, Meter& meter) {
  std::int64_t a = 0, b = 0;
  if (left.whole(a) && right.whole(b)) return whole_result(op, a, b);
  if (left.is_number() && right.is_number()) return real_result(op, real_of(left), real_of(right));
  if (op == BinaryOperator::modulo && left.text()) return percent_format(*left.text(), right, meter);
  if (std::optional<Value> result = sequence_result(op, left, right, meter)) return std::move(*result);
  unsupported(op, left, right);
}

Value negated(const Value& value) {
  std::int64_t whole = 0;
  if (value.real()) return -*value.real();
  if (!value.whole(whole)) throw TemplateError("`-` does not go before `" + type_name(value) + "`");
  if (whole == std::numeric_limits<std::int64_t>::min()) overflow();
  return -whole;
}

Value plus(const Value& value) {
  std::int64_t whole = 0;
  if (value.real()) return value;
  if (!value.whole(whole)) throw TemplateError("`+` does not go before `" + type_name(value) + "`");
  return whole;
}

bool contains(const Value& container, const Value& item, Meter& meter) {
  if (container.is_undefined()) return false;
  if (const Text* text = container.text()) {
    if (!item.text()) throw TemplateError("`in` a `str` needs a `str`, not `" + type_name(item) + "`");
    return find_in(text->view(), item.text()->view(), 0, meter) != std::string_view::npos;
  }
  if (container.dict()) return container.dict()->find(item) != nullptr;
  Sequence* sequence = container.sequence();
  if (sequence == nullptr) throw TemplateError("`" + type_name(container) + "` contains nothing");
  const auto found = std::ranges::find_if(sequence->items, [&](const Value& one) { return equal(one, item, meter); });
  const bool is_there = found != sequence->items.end();
  if (sequence->kind == SequenceKind::iterator) {
    sequence->items.erase(sequence->items.begin(), is_there ? found + 1 : sequence->items.end());
  }
  return is_there;
}

Value sliced(const Value& of, const Value& start, const Value& stop, const Value& step, Meter& meter) {
  if (!is_bound(start) || !is_bound(stop) || !is_bound(step)) {
    return Value::undefined("the bounds of a slice must be `int`");
  }
  if (of.text()) return sliced_text(*of.text(), start, stop, step, meter);
  const Sequence* sequence = of.sequence();
  if (sequence == nullptr || sequence->kind > SequenceKind::range) {
    return Value::undefined("`" + type_name(of) + "` cannot be sliced");
  }
  const SliceRange range = adjusted(start, stop, step, static_cast<std::int64_t>(sequence->items.size()));
  const SequenceKind kind = sequence->kind == SequenceKind::range ? SequenceKind::list : sequence->kind;
  Sequence picked{kind};
  for (const std::size_t i : indices(range)) picked.items.push_back(sequence->items[i]);
  meter.take(picked.items.size() * sizeof(Value));
  return picked;
}

std::int64_t length(const Value& of) {
  if (of.is_undefined()) return 0;
  if (of.text()) return static_cast<std::int64_t>(code_points(of.text()->view()));
  if (of.dict()) return static_cast<std::int64_t>(of.dict()->entries().size());
  const Sequence* sequence = of.sequence();
  if (sequence == nullptr || sequence->kind == SequenceKind::iterator) {
    throw TemplateError("`" + type_name(of) + "` has no length");
  }
  return static_cast<std::int64_t>(sequence->items.size());
}

std::size_t find_in(std::string_view text, std::string_view needle, std::size_t from, Meter& meter) {
  if (from > text.size()) return std::string_view::npos;
  const std::string_view rest = text.substr(from);
  if (needle.empty()) return from;
  const void* found = ::memmem(rest.data(), rest.size(), needle.data(), needle.size());
  const std::size_t at =
      found ? static_cast<std::size_t>(static_cast<const char*>(found) - text.data()) : std::string_view::npos;
  meter.take((found ? at - from : rest.size()) + needle.size());
  return at;
}

}  // namespace ftl::chat
