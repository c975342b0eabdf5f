// Filters over lists, dicts and iterators. Those that give an iterator in Jinja give one here, too (always true, no
// length, read once), though its items are made at once.
#include <algorithm>

#include "trainer/chat_template/evaluator.h"
#include "trainer/chat_template/filters.h"
#include "trainer/chat_template/methods.h"
#include "trainer/chat_template/operators.h"
#include "trainer/chat_template/printing.h"
#include "trainer/chat_template/template_error.h"
#include "trainer/chat_template/text_operations.h"

namespace ftl::chat {
namespace {

bool is_decimal(std::string_view text) {
  return !text.empty() && text.size() < 18 && std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
}

}  // namespace

Value named_part(Evaluator& evaluator, const Value& of, const Value& path) {
  if (path.is_none()) return of;
  if (!path.text()) return evaluator.item(of, path);
  Value part = of;
  for (const Text& step : split(*path.text(), ".", -1, evaluator.meter())) {
    const bool is_index = is_decimal(step.view());
    part = evaluator.item(part, is_index ? Value(std::int64_t{std::stoll(step.bytes())}) : Value(step.bytes()));
  }
  return part;
}

const Value* group_part(const Value& value, std::string_view name) {
  const Sequence* sequence = value.sequence();
  if (sequence == nullptr || !sequence->is_group) return nullptr;
  if (name == "grouper") return &sequence->items[0];
  return name == "list" ? &sequence->items[1] : nullptr;
}

namespace filters {
namespace {

Value iterator_over(std::vector<Value> items) { return Sequence{SequenceKind::iterator, std::move(items)}; }
Value list_of(std::vector<Value> items) { return Sequence{SequenceKind::list, std::move(items)}; }
Value pair_of(Value first, Value second) {
  return Sequence{SequenceKind::tuple, {std::move(first), std::move(second)}};
}

Value without_case(Evaluator& evaluator, const Value& value) {
  return value.text() ? lower_case(evaluator, value, {}) : value;
}

// What sort, min, max, unique and groupby compare: the value or a part of it.
struct Key {
  Evaluator& evaluator;
  Value path = None{};
  bool case_sensitive = false;
  Value fallback{};

  Value operator()(const Value& item) const {
    Value part = named_part(evaluator, item, path);
    if (part.is_undefined() && !fallback.is_undefined()) part = fallback;
    return case_sensitive ? part : without_case(evaluator, part);
  }
};

// Items in the order of their keys; stable, also in reverse, as Python's.
std::vector<Value> sorted(std::vector<Value> items, std::vector<Value> keys, bool reverse, Meter& meter) {
  std::vector<std::size_t> order(items.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::ranges::stable_sort(order, [&](std::size_t a, std::size_t b) {
    return reverse ? less(keys[b], keys[a], meter) : less(keys[a], keys[b], meter);
  });
  std::vector<Value> result;
  result.reserve(items.size());
  for (const std::size_t i : order) result.push_back(std::move(items[i]));
  return result;
}

Value extreme(Evaluator& evaluator, const Value& value, const Arguments& arguments, bool largest) {
  const Bound bound(largest ? "max" : "min", arguments, {"case_sensitive", "attribute"});
  const std::vector<Value> items = evaluator.iterate(value);
  if (items.empty()) return Value::undefined("there is no largest or smallest item of an empty sequence");
  const Key key{evaluator, bound.has(1) ? bound[1] : Value(None{}), bound.flag(0, false)};
  std::size_t best = 0;
  Value best_key = key(items[0]);
  for (std::size_t i = 1; i < items.size(); ++i) {
    Value next = key(items[i]);
    const bool is_better = largest ? less(best_key, next, evaluator.meter()) : less(next, best_key, evaluator.meter());
    if (!is_better) continue;
    best = i;
    best_key = std::move(next);
  }
  return items[best];
}

// select, reject and their attr forms: a test by name, or the value's own truth.
Value chosen(Evaluator& evaluator, const Value& value, const Arguments& arguments, bool wanted, bool by_attribute) {
  if (!truth(value)) return iterator_over({});
  const std::size_t test = by_attribute ? 1 : 0;
  if (by_attribute && arguments.positional.empty()) throw TemplateError("the name of an attribute is missing");
  Arguments rest;
  std::string name;
  if (arguments.positional.size() > test) {
    name = evaluator.shown(arguments.positional[test]).bytes();
    rest.positional.assign(arguments.positional.begin() + static_cast<std::ptrdiff_t>(test) + 1,
                           arguments.positional.end());
    rest.named = arguments.named;
  }
  std::vector<Value> kept;
  for (Value& item : evaluator.iterate(value)) {
    const Value part = by_attribute ? named_part(evaluator, item, arguments.positional[0]) : item;
    const bool holds = name.empty() ? truth(part) : evaluator.apply_test(name, part, rest);
    if (holds == wanted) kept.push_back(std::move(item));
  }
  return iterator_over(std::move(kept));
}

}  // namespace

Value select(Evaluator& evaluator, const Value& value, const Arguments& arguments) {
  return chosen(evaluator, value, arguments, true, false);
}
Value reject(Evaluator& evaluator, const Value& value, const Arguments& arguments) {
  return chosen(evaluator, value, arguments, false, false);
}
Value selectattr(Evaluator& evaluator, const Value& value, const Arguments& arguments) {
  return chosen(evaluator, value, arguments, true, true);
}
Value rejectattr(Evaluator& evaluator, const Value& value, const Arguments& arguments) {
  return chosen(evaluator, value, arguments, false, true);
}
Value minimum(Evaluator& evaluator, const Value& value, const Arguments& arguments) {
  return extreme(evaluator, value, arguments, false);
}
Value maximum(Evaluator& evaluator, const Value& value, const Arguments& arguments) {
  return extreme(evaluator, value, arguments, true);
}

Value map(Evaluator& evaluator, const Value& value, const Arguments& arguments) {
  if (!truth(value)) return iterator_over({});
  std::vector<Value> made;
  if (arguments.positional.empty()) {
    const Bound bound("map", arguments, {"attribute", "default"}, 1);
    for (const Value& item : evaluator.iterate(value)) {
      Value part = named_part(evaluator, item, bound[0]);
      made.push_back(part.is_undefined() && !bound.is_none_or_missing(1) ? bound[1] : std::move(part));
    }
    return iterator_over(std::move(made));
  }
  const std::string name = evaluator.shown(arguments.positional[0]).bytes();
  Arguments rest{{arguments.positional.begin() + 1, arguments.positional.end()}, arguments.named};
  for (const Value& item : evaluator.iterate(value)) made.push_back(evaluator.apply_filter(name, item, rest));
  return iterator_over(std::move(made));
}

Value default_value(Evaluator&, const Value& value, const Arguments& arguments) {
  const Bound bound("default", arguments, {"default_value", "boolean"});
  const bool is_missing = value.is_undefined() || (bound.flag(1, false) && !truth(value));
  if (!is_missing) return value;
  return bound.has(0) ? bound[0] : Value("");
}

Value first(Evaluator& evaluator, const Value& value, const Arguments& arguments) {
  const Bound bound("first", arguments, {});
  if (const Text* text = value.text(); text && !text->empty()) return evaluator.item(value, std::int64_t{0});
  if (Sequence* sequence = value.sequence(); sequence && sequence->kind == SequenceKind::iterator) {
    if (sequence->items.empty()) return Value::undefined("there is no first item");
    Value item = sequence->items.front();
    sequence->items.erase(sequence->items.begin());
    return item;
  }
  const std::vector<Value> items = evaluator.iterate(value);
  return items.empty() ? Value::undefined("there is no first item") : items.front();
}

Value last(Evaluator& evaluator, const Value& value, const Arguments& arguments) {
  const Bound bound("last", arguments, {});
  if (value.sequence() && value.sequence()->kind == SequenceKind::iterator) {
    throw TemplateError("the last item of an iterator cannot be had, make it a list first");
  }
  const std::vector<Value> items = evaluator.iterate(value);
  return items.empty() ? Value::undefined("there is no last item") : items.back();
}

Value length_of(Evaluator& evaluator, const Value& value, const Arguments& arguments) {
  const Bound bound("length", arguments, {});
  if (value.text()) evaluator.meter().take(value.text()->size());
  return length(value);
}

Value list(Evaluator& evaluator, const Value& value, const Arguments& arguments) {
  const Bound bound("list", arguments, {});
  return list_of(evaluator.iterate(value));
}

Value items(Evaluator& evaluator, const Value& value, const Arguments& arguments) {
  const Bound bound("items", arguments, {});
  if (value.is_undefined()) return iterator_over({});
  if (!value.dict()) throw TemplateError("`items` needs a dict, not `" + type_name(value) + "`");
  std::vector<Value> pairs;
  for (const auto& [key, item] : value.dict()->entries()) pairs.push_back(pair_of(key, item));
  evaluator.meter().take(pairs.size() * (sizeof(Sequence) + 2 * sizeof(Value)));
  return iterator_over(std::move(pairs));
}

Value join(Evaluator& evaluator, const Value& value, const Arguments& arguments) {
  const Bound bound("join", arguments, {"d", "attribute"});
  std::vector<Text> parts;
  for (const Value& item : evaluator.iterate(value)) {
    parts.push_back(evaluator.shown(bound.is_none_or_missing(1) ? item : named_part(evaluator, item, bound[1])));
  }
  return joined(bound.has(0) ? evaluator.shown(bound[0]) : Text(), parts, evaluator.meter());
}

Value reverse(Evaluator& evaluator, const Value& value, const Arguments& arguments) {
  const Bound bound("reverse", arguments, {});
  if (value.text()) return sliced(value, None{}, None{}, std::int64_t{-1}, evaluator.meter());
  std::vector<Value> all = evaluator.iterate(value);
  std::ranges::reverse(all);
  return iterator_over(std::move(all));
}

Value sort(Evaluator& evaluator, const Value& value, const Arguments& arguments) {
  const Bound bound("sort", arguments, {"reverse", "case_sensitive", "attribute"});
  std::vector<Value> paths = {None{}};
  if (!bound.is_none_or_missing(2)) {
    paths = {bound[2]};
    if (bound[2].text()) {
      paths.clear();
      for (Text& path : split(*bound[2].text(), ",", -1, evaluator.meter())) paths.emplace_back(std::move(path));
    }
  }
  std::vector<Value> all = evaluator.iterate(value), keys;
  for (const Value& item : all) {
    Sequence key;
    for (const Value& path : paths) key.items.push_back(Key{evaluator, path, bound.flag(1, false)}(item));
    keys.emplace_back(std::move(key));
  }
  return list_of(sorted(std::move(all), std::move(keys), bound.flag(0, false), evaluator.meter()));
}

Value dictsort(Evaluator& evaluator, const Value& value, const Arguments& arguments) {
  const Bound bound("dictsort", arguments, {"case_sensitive", "by", "reverse"});
  const std::string by = bound.has(1) ? evaluator.shown(bound[1]).bytes() : "key";
  if (by != "key" && by != "value")
    throw TemplateError("`dictsort` sorts by \"key\" or \"value\", not by " + quoted(by));
  if (!value.dict()) throw TemplateError("`dictsort` needs a dict, not `" + type_name(value) + "`");
  std::vector<Value> pairs, keys;
  for (const auto& [key, item] : value.dict()->entries()) {
    pairs.push_back(pair_of(key, item));
    keys.push_back(Key{evaluator, None{}, bound.flag(0, false)}(by == "key" ? key : item));
  }
  return list_of(sorted(std::move(pairs), std::move(keys), bound.flag(2, false), evaluator.meter()));
}

Value unique(Evaluator& evaluator, const Value& value, const Arguments& arguments) {
  const Bound bound("unique", arguments, {"case_sensitive", "attribute"});
  const Key key{evaluator, bound.has(1) ? bound[1] : Value(None{}), bound.flag(0, false)};
  Dict seen;
  std::vector<Value> kept;
  for (Value& item : evaluator.iterate(value)) {
    const Value name = key(item);
    if (seen.find(name) != nullptr) continue;
    seen.set(name, true);
    kept.push_back(std::move(item));
  }
  return iterator_over(std::move(kept));
}

Value groupby(Evaluator& evaluator, const Value& value, const Arguments& arguments) {
  const Bound bound("groupby", arguments, {"attribute", "default", "case_sensitive"}, 1);
  const Value fallback = bound.is_none_or_missing(1) ? Value() : bound[1];
  const Key key{evaluator, bound[0], bound.flag(2, false), fallback}, name{evaluator, bound[0], true, fallback};
  std::vector<Value> all = evaluator.iterate(value), keys;
  for (const Value& item : all) keys.push_back(key(item));
  all = sorted(std::move(all), keys, false, evaluator.meter());
  std::vector<Value> groups;
  for (std::size_t begin = 0, end = 0; begin < all.size(); begin = end) {
    const Value of_group = key(all[begin]);
    while (end < all.size() && equal(of_group, key(all[end]), evaluator.meter())) ++end;
    Sequence members{SequenceKind::list};
    members.items.assign(all.begin() + static_cast<std::ptrdiff_t>(begin),
                         all.begin() + static_cast<std::ptrdiff_t>(end));
    Sequence group{SequenceKind::tuple, {name(all[begin]), Value(std::move(members))}};
    group.is_group = true;
    groups.emplace_back(std::move(group));
  }
  return list_of(std::move(groups));
}

Value batch(Evaluator& evaluator, const Value& value, const Arguments& arguments) {
  const Bound bound("batch", arguments, {"linecount", "fill_with"}, 1);
  const std::int64_t size = bound.integer(0, 1);
  std::vector<Value> rows, row;
  for (Value& item : evaluator.iterate(value)) {
    if (static_cast<std::int64_t>(row.size()) == size) rows.push_back(list_of(std::exchange(row, {})));
    row.push_back(std::move(item));
  }
  if (!row.empty() && !bound.is_none_or_missing(1)) {
    const std::int64_t missing = size - static_cast<std::int64_t>(row.size());
    evaluator.meter().take_copies(sizeof(Value), missing);
    for (std::int64_t i = 0; i < missing; ++i) row.push_back(bound[1]);
  }
  if (!row.empty()) rows.push_back(list_of(std::move(row)));
  return iterator_over(std::move(rows));
}

Value slice(Evaluator& evaluator, const Value& value, const Arguments& arguments) {
  const Bound bound("slice", arguments, {"slices", "fill_with"}, 1);
  const std::vector<Value> all = evaluator.iterate(value);
  const std::int64_t count = bound.integer(0, 1), size = static_cast<std::int64_t>(all.size());
  if (count == 0) throw TemplateError("division by zero");
  std::vector<Value> slices;
  evaluator.meter().take_copies(sizeof(Sequence) + sizeof(Value), count);
  for (std::int64_t i = 0, at = 0; i < count; ++i) {
    const std::int64_t own = size / count + (i < size % count ? 1 : 0);
    Sequence part{SequenceKind::list, {all.begin() + at, all.begin() + at + own}};
    if (!bound.is_none_or_missing(1) && size % count != 0 && i >= size % count) part.items.push_back(bound[1]);
    slices.emplace_back(std::move(part));
    at += own;
  }
  return iterator_over(std::move(slices));
}

Value attr(Evaluator& evaluator, const Value& value, const Arguments& arguments) {
  const Bound bound("attr", arguments, {"name"}, 1);
  const std::string name = evaluator.shown(bound[0]).bytes();
  if (value.dict() && value.dict()->find(std::string_view(name)) != nullptr && find_method(value, name) == nullptr) {
    return Value::undefined("`dict` has no attribute " + quoted(name));
  }
  return evaluator.attribute(value, name);
}

}  // namespace filters
}  // namespace ftl::chat
