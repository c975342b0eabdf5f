#include "trainer/chat_template/tests.h"

#include <algorithm>
#include <iterator>

#include "trainer/chat_template/characters.h"
#include "trainer/chat_template/evaluator.h"
#include "trainer/chat_template/filters.h"
#include "trainer/chat_template/loop_state.h"
#include "trainer/chat_template/operators.h"
#include "trainer/chat_template/template_error.h"

namespace ftl::chat {
namespace {

using Of = bool (*)(const Value& value);

// A test without arguments.
template <Of of>
bool plain(Evaluator&, const Value& value, const Arguments& arguments) {
  const Bound bound("a test", arguments, {});
  return of(value);
}

bool is_callable(const Value& value) {
  return value.is_undefined() || (value.object() && value.object()->is_callable());
}

bool is_iterable(const Value& value) {
  return value.is_undefined() || value.text() || value.sequence() || value.dict() ||
         dynamic_cast<const LoopState*>(value.object()) != nullptr;
}

bool is_sequence(const Value& value) {
  if (value.is_undefined() || value.text() || value.dict()) return true;
  return value.sequence() && value.sequence()->kind <= SequenceKind::range;
}

bool is_same(const Value& left, const Value& right) {
  if (left.data().index() != right.data().index()) return false;
  if (left.text()) return left.text() == right.text();
  if (left.sequence()) return left.sequence() == right.sequence();
  if (left.dict()) return left.dict() == right.dict();
  if (left.object()) return left.object() == right.object();
  if (left.boolean()) return *left.boolean() == *right.boolean();
  if (left.integer()) return *left.integer() == *right.integer();
  return left.is_none();
}

Value remainder(Evaluator& evaluator, const Value& value, std::int64_t divisor) {
  return binary(BinaryOperator::modulo, value, divisor, evaluator.meter());
}

bool even(Evaluator& evaluator, const Value& value, const Arguments& arguments) {
  const Bound bound("even", arguments, {});
  return equal(remainder(evaluator, value, 2), std::int64_t{0}, evaluator.meter());
}
bool odd(Evaluator& evaluator, const Value& value, const Arguments& arguments) {
  const Bound bound("odd", arguments, {});
  return equal(remainder(evaluator, value, 2), std::int64_t{1}, evaluator.meter());
}
bool divisibleby(Evaluator& evaluator, const Value& value, const Arguments& arguments) {
  const Bound bound("divisibleby", arguments, {"num"}, 1);
  const Value rest = binary(BinaryOperator::modulo, value, bound[0], evaluator.meter());
  return equal(rest, std::int64_t{0}, evaluator.meter());
}

bool eq(Evaluator& evaluator, const Value& value, const Arguments& arguments) {
  const Bound bound("eq", arguments, {"other"}, 1);
  return equal(value, bound[0], evaluator.meter());
}
bool ne(Evaluator& evaluator, const Value& value, const Arguments& arguments) {
  return !eq(evaluator, value, arguments);
}
bool lt(Evaluator& evaluator, const Value& value, const Arguments& arguments) {
  const Bound bound("lt", arguments, {"other"}, 1);
  return less(value, bound[0], evaluator.meter());
}
bool gt(Evaluator& evaluator, const Value& value, const Arguments& arguments) {
  const Bound bound("gt", arguments, {"other"}, 1);
  return less(bound[0], value, evaluator.meter());
}
bool le(Evaluator& evaluator, const Value& value, const Arguments& arguments) {
  const Bound bound("le", arguments, {"other"}, 1);
  return less_or_equal(value, bound[0], evaluator.meter());
}
bool ge(Evaluator& evaluator, const Value& value, const Arguments& arguments) {
  const Bound bound("ge", arguments, {"other"}, 1);
  return less_or_equal(bound[0], value, evaluator.meter());
}

bool in(Evaluator& evaluator, const Value& value, const Arguments& arguments) {
  const Bound bound("in", arguments, {"seq"}, 1);
  return contains(bound[0], value, evaluator.meter());
}
bool sameas(Evaluator&, const Value& value, const Arguments& arguments) {
  const Bound bound("sameas", arguments, {"other"}, 1);
  return is_same(value, bound[0]);
}
bool lower_case(Evaluator& evaluator, const Value& value, const Arguments& arguments) {
  const Bound bound("lower", arguments, {});
  return is_all_lower(evaluator.shown(value).view());
}
bool upper_case(Evaluator& evaluator, const Value& value, const Arguments& arguments) {
  const Bound bound("upper", arguments, {});
  return is_all_upper(evaluator.shown(value).view());
}
bool filter(Evaluator&, const Value& value, const Arguments& arguments) {
  const Bound bound("filter", arguments, {});
  return value.text() && find_filter(value.text()->view()) != nullptr;
}
bool test(Evaluator&, const Value& value, const Arguments& arguments) {
  const Bound bound("test", arguments, {});
  return value.text() && find_test(value.text()->view()) != nullptr;
}

constexpr Test table[] = {
    {"!=", ne},
    {"<", lt},
    {"<=", le},
    {"==", eq},
    {">", gt},
    {">=", ge},
    {"boolean", plain<[](const Value& value) { return value.boolean() != nullptr; }>},
    {"callable", plain<is_callable>},
    {"defined", plain<[](const Value& value) { return !value.is_undefined(); }>},
    {"divisibleby", divisibleby},
    {"eq", eq},
    {"equalto", eq},
    {"escaped", plain<[](const Value&) { return false; }>},  // there is no markup here
    {"even", even},
    {"false", plain<[](const Value& value) { return value.boolean() && !*value.boolean(); }>},
    {"filter", filter},
    {"float", plain<[](const Value& value) { return value.real() != nullptr; }>},
    {"ge", ge},
    {"greaterthan", gt},
    {"gt", gt},
    {"in", in},
    {"integer", plain<[](const Value& value) { return value.integer() != nullptr; }>},
    {"iterable", plain<is_iterable>},
    {"le", le},
    {"lessthan", lt},
    {"lower", lower_case},
    {"lt", lt},
    {"mapping", plain<[](const Value& value) { return value.dict() != nullptr; }>},
    {"ne", ne},
    {"none", plain<[](const Value& value) { return value.is_none(); }>},
    {"number", plain<[](const Value& value) { return value.is_number(); }>},
    {"odd", odd},
    {"sameas", sameas},
    {"sequence", plain<is_sequence>},
    {"string", plain<[](const Value& value) { return value.text() != nullptr; }>},
    {"test", test},
    {"true", plain<[](const Value& value) { return value.boolean() && *value.boolean(); }>},
    {"undefined", plain<[](const Value& value) { return value.is_undefined(); }>},
    {"upper", upper_case},
};

}  // namespace

const Test* find_test(std::string_view name) {
  const auto found = std::ranges::lower_bound(table, name, {}, &Test::name);
  return found != std::end(table) && found->name == name ? found : nullptr;
}

}  // namespace ftl::chat
