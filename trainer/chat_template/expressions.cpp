// The evaluator's expressions.
#include <algorithm>

#include "trainer/chat_template/callables.h"
#include "trainer/chat_template/evaluator.h"
#include "trainer/chat_template/filters.h"
#include "trainer/chat_template/methods.h"
#include "trainer/chat_template/operators.h"
#include "trainer/chat_template/printing.h"
#include "trainer/chat_template/template_error.h"
#include "trainer/chat_template/tests.h"

namespace ftl::chat {
namespace {

[[noreturn]] void refuse_undefined(const Value& value) {
  const auto& undefined = std::get<Undefined>(value.data());
  throw TemplateError(undefined.why ? *undefined.why : "the value is undefined");
}

}  // namespace

Value Evaluator::evaluate(const Expression& expression) {
  const Meter::Level level(meter_);
  meter_.step();
  return std::visit([&](const auto& node) { return value_of(node, expression.place); }, expression.node);
}

Text Evaluator::shown(const Value& value) { return chat::shown(value, meter_); }

Value Evaluator::value_of(const Literal& literal, Place) { return literal.value; }

Value Evaluator::value_of(const Captured&, Place) { return captured_; }

Value Evaluator::value_of(const Name& name, Place place) {
  for (const Scope* scope = scope_; scope != nullptr; scope = scope->parent) {
    const auto found = scope->values.find(name.name);
    if (found != scope->values.end()) return found->second;
  }
  if (const Value* function = find_function(name.name)) return *function;
  if (name.name == "cycler" || name.name == "lipsum") {
    throw TemplateError("the function `" + name.name + "` is not in this version", place);
  }
  return Value::undefined("`" + name.name + "` is undefined");
}

Value Evaluator::value_of(const ListOf& list, Place) {
  Sequence sequence{list.is_tuple ? SequenceKind::tuple : SequenceKind::list};
  for (const ExpressionPtr& item : list.items) sequence.items.push_back(evaluate(*item));
  meter_.take(sequence.items.size() * sizeof(Value) + sizeof(Sequence));
  return sequence;
}

Value Evaluator::value_of(const DictOf& written, Place) {
  Dict dict;
  for (const auto& [key, value] : written.entries) {
    const Value name = evaluate(*key);
    dict.set(name, evaluate(*value));
  }
  meter_.take(2 * dict.entries().size() * sizeof(Dict::Entry) + sizeof(Dict));
  return dict;
}

Value Evaluator::value_of(const Attribute& written, Place place) {
  const Value of = evaluate(*written.of);
  place_ = place;
  return attribute(of, written.name);
}

Value Evaluator::value_of(const Subscript& subscript, Place place) {
  const Value of = evaluate(*subscript.of);
  const Value key = evaluate(*subscript.key);
  place_ = place;
  return item(of, key);
}

Value Evaluator::value_of(const Slice& slice, Place place) {
  const Value of = evaluate(*slice.of);
  const auto bound = [&](const ExpressionPtr& written) { return written ? evaluate(*written) : Value(None{}); };
  const Value start = bound(slice.start), stop = bound(slice.stop), step = bound(slice.step);
  place_ = place;
  if (of.is_undefined()) refuse_undefined(of);
  return sliced(of, start, stop, step, meter_);
}

Arguments Evaluator::arguments_of(const CallArguments& written) {
  Arguments arguments;
  for (const ExpressionPtr& value : written.positional) arguments.positional.push_back(evaluate(*value));
  if (written.spread) {
    for (Value& value : iterate(evaluate(*written.spread))) arguments.positional.push_back(std::move(value));
  }
  for (const auto& [name, value] : written.named) arguments.named.emplace_back(name, evaluate(*value));
  if (written.spread_named) {
    const Value more = evaluate(*written.spread_named);
    if (!more.dict()) throw TemplateError("`**` needs a dict, not `" + type_name(more) + "`");
    for (const auto& [key, value] : more.dict()->entries()) {
      if (!key.text()) throw TemplateError("names of arguments must be `str`");
      const auto is_same = [&](const auto& named) { return named.first == key.text()->bytes(); };
      if (std::ranges::any_of(arguments.named, is_same)) {
        throw TemplateError("the argument `" + key.text()->bytes() + "` is given twice");
      }
      arguments.named.emplace_back(key.text()->bytes(), value);
    }
  }
  return arguments;
}

Value Evaluator::value_of(const Call& written, Place place) {
  const Value callee = evaluate(*written.of);
  Arguments arguments = arguments_of(written.arguments);
  place_ = place;
  return call(callee, arguments);
}

Value Evaluator::call(const Value& callee, Arguments& arguments) {
  if (callee.is_undefined()) refuse_undefined(callee);
  if (!callee.object()) throw TemplateError("`" + type_name(callee) + "` is not callable");
  const Value held = callee;  // alive, whatever the call does to the place it came from
  return held.object()->call(*this, arguments);
}

Value Evaluator::value_of(const FilterUse& use, Place place) {
  const Value of = evaluate(*use.of);
  const Arguments arguments = arguments_of(use.arguments);
  place_ = place;
  if (use.filter == nullptr) throw TemplateError("there is no filter `" + use.name + "`");
  return use.filter->apply(*this, of, arguments);
}

Value Evaluator::apply_filter(const std::string& name, const Value& value, const Arguments& arguments) {
  const Filter* filter = find_filter(name);
  if (filter == nullptr) throw TemplateError("there is no filter `" + name + "`");
  const Meter::Level level(meter_);
  meter_.step();
  return filter->apply(*this, value, arguments);
}

Value Evaluator::value_of(const TestUse& use, Place place) {
  const Value of = evaluate(*use.of);
  const Arguments arguments = arguments_of(use.arguments);
  place_ = place;
  if (use.test == nullptr) throw TemplateError("there is no test `" + use.name + "`");
  return use.test->holds(*this, of, arguments) != use.negated;
}

bool Evaluator::apply_test(const std::string& name, const Value& value, const Arguments& arguments) {
  const Test* test = find_test(name);
  if (test == nullptr) throw TemplateError("there is no test `" + name + "`");
  meter_.step();
  return test->holds(*this, value, arguments);
}

Value Evaluator::value_of(const Unary& unary, Place place) {
  const Value of = evaluate(*unary.of);
  place_ = place;
  if (unary.sign == '!') return !truth(of);
  if (of.is_undefined()) refuse_undefined(of);
  return unary.sign == '-' ? negated(of) : plus(of);
}

Value Evaluator::value_of(const Binary& written, Place place) {
  const Value left = evaluate(*written.left);
  const Value right = evaluate(*written.right);
  place_ = place;
  return binary(written.op, left, right, meter_);
}

Value Evaluator::value_of(const Joined& joined, Place place) {
  Text all;
  for (const ExpressionPtr& part : joined.parts) {
    const Text text = shown(evaluate(*part));
    place_ = place;
    meter_.take(text.size());
    all.append(text);
    meter_.check_string(all.size());
  }
  return all;
}

Value Evaluator::value_of(const Logic& logic, Place) {
  Value left = evaluate(*logic.left);
  return truth(left) == logic.is_and ? evaluate(*logic.right) : left;
}

Value Evaluator::value_of(const Compare& compare, Place place) {
  Value left = evaluate(*compare.left);
  for (const auto& [comparison, written] : compare.rest) {
    Value right = evaluate(*written);
    place_ = place;
    bool holds = false;
    switch (comparison) {
      case Comparison::eq: holds = equal(left, right, meter_); break;
      case Comparison::ne: holds = !equal(left, right, meter_); break;
      case Comparison::lt: holds = less(left, right, meter_); break;
      case Comparison::gt: holds = less(right, left, meter_); break;
      case Comparison::le: holds = less_or_equal(left, right, meter_); break;
      case Comparison::ge: holds = less_or_equal(right, left, meter_); break;
      case Comparison::in: holds = contains(right, left, meter_); break;
      case Comparison::not_in: holds = !contains(right, left, meter_); break;
    }
    if (!holds) return false;
    left = std::move(right);
  }
  return true;
}

Value Evaluator::value_of(const Conditional& conditional, Place) {
  if (truth(evaluate(*conditional.condition))) return evaluate(*conditional.then);
  if (conditional.otherwise) return evaluate(*conditional.otherwise);
  return Value::undefined("the inline if-expression has no else, and its condition is false");
}

Value Evaluator::attribute(const Value& of, std::string_view name) {
  if (of.is_undefined()) refuse_undefined(of);
  if (of.object()) {
    if (const Value found = of.object()->attribute(name); !found.is_undefined()) return found;
  } else if (const Method* method = find_method(of, name)) {
    if (method->apply == nullptr) {
      return Value::undefined("`" + type_name(of) + "." + std::string(name) + "` is closed to templates");
    }
    return bound_method(of, *method);
  }
  if (of.dict()) {
    if (const Value* found = of.dict()->find(name)) return *found;
  }
  if (const Value* part = group_part(of, name)) return *part;
  return Value::undefined("`" + type_name(of) + "` has no attribute `" + std::string(name) + "`");
}

Value Evaluator::item(const Value& of, const Value& key) {
  if (of.is_undefined()) refuse_undefined(of);
  std::int64_t index = 0;
  const Sequence* sequence = of.sequence();
  if (of.dict() && !key.dict() && !(key.sequence() && key.sequence()->kind != SequenceKind::tuple)) {
    if (const Value* found = of.dict()->find(key)) return *found;
  } else if (sequence && sequence->kind <= SequenceKind::range && key.whole(index)) {
    const auto size = static_cast<std::int64_t>(sequence->items.size());
    if (index < 0) index += size;
    if (index >= 0 && index < size) return sequence->items[static_cast<std::size_t>(index)];
  } else if (of.text() && key.whole(index)) {
    const std::int64_t size = length(of);
    meter_.take(of.text()->size());
    if (index < 0) index += size;
    if (index >= 0 && index < size) return sliced(of, index, index + 1, None{}, meter_);
  }
  if (key.text()) return attribute(of, key.text()->bytes());
  return Value::undefined("`" + type_name(of) + "` has no item " + repr(key, meter_).bytes().substr(0, 80));
}

std::vector<Value> Evaluator::iterate(const Value& value) {
  if (value.is_undefined()) return {};
  std::vector<Value> items;
  if (Sequence* sequence = value.sequence()) {
    if (sequence->kind == SequenceKind::iterator) return std::exchange(sequence->items, {});
    items = sequence->items;
  } else if (const Dict* dict = value.dict()) {
    for (const auto& entry : dict->entries()) items.push_back(entry.first);
  } else if (const Text* text = value.text()) {
    meter_.take_copies(sizeof(Value) + sizeof(Text), static_cast<std::int64_t>(text->size()));
    for (std::size_t at = 0; at < text->size();) {
      const std::size_t end = at + byte_of_code_point(text->view().substr(at), 1);
      items.emplace_back(text->slice(at, end));
      at = end;
    }
  } else {
    throw TemplateError("`" + type_name(value) + "` cannot be iterated");
  }
  meter_.take(items.size() * sizeof(Value));
  return items;
}

}  // namespace ftl::chat
