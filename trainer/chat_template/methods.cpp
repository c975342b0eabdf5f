#include "trainer/chat_template/methods.h"

#include <algorithm>
#include <iterator>
#include <span>

#include "trainer/chat_template/callables.h"
#include "trainer/chat_template/evaluator.h"
#include "trainer/chat_template/template_error.h"
#include "trainer/chat_template/text_methods.h"

namespace ftl::chat {
namespace {

Value refused(Evaluator&, const Value& self, const Arguments&) {
  throw TemplateError("this method of `" + type_name(self) + "` is not in this version");
}

Value entries(Evaluator& evaluator, const Value& self, const Arguments& arguments) {
  const Bound bound("items", arguments, {});
  Sequence pairs{SequenceKind::items};
  evaluator.meter().take(self.dict()->entries().size() * (sizeof(Sequence) + 3 * sizeof(Value)));
  for (const auto& [key, item] : self.dict()->entries()) {
    pairs.items.emplace_back(Sequence{SequenceKind::tuple, {key, item}});
  }
  return pairs;
}

Value keys(Evaluator& evaluator, const Value& self, const Arguments& arguments) {
  const Bound bound("keys", arguments, {});
  return Sequence{SequenceKind::keys, evaluator.iterate(self)};
}

Value values(Evaluator& evaluator, const Value& self, const Arguments& arguments) {
  const Bound bound("values", arguments, {});
  Sequence all{SequenceKind::values};
  evaluator.meter().take(self.dict()->entries().size() * sizeof(Value));
  for (const auto& entry : self.dict()->entries()) all.items.push_back(entry.second);
  return all;
}

Value get(Evaluator&, const Value& self, const Arguments& arguments) {
  if (!arguments.named.empty()) throw TemplateError("`get` takes no named arguments");
  const Bound bound("get", arguments, {"key", "default"}, 1);
  if (const Value* found = self.dict()->find(bound[0])) return *found;
  return bound.has(1) ? bound[1] : Value(None{});
}

Value copy(Evaluator&, const Value& self, const Arguments& arguments) {
  const Bound bound("copy", arguments, {});
  return self;
}

Value count(Evaluator& evaluator, const Value& self, const Arguments& arguments) {
  const Bound bound("count", arguments, {"value"}, 1);
  std::int64_t found = 0;
  for (const Value& item : self.sequence()->items) found += equal(item, bound[0], evaluator.meter()) ? 1 : 0;
  return found;
}

Value index(Evaluator& evaluator, const Value& self, const Arguments& arguments) {
  const Bound bound("index", arguments, {"value"}, 1);
  const std::vector<Value>& items = self.sequence()->items;
  const auto is_it = [&](const Value& item) { return equal(item, bound[0], evaluator.meter()); };
  const auto found = std::ranges::find_if(items, is_it);
  if (found == items.end()) throw TemplateError("the value is not in the list");
  return static_cast<std::int64_t>(found - items.begin());
}

constexpr Method dict_methods[] = {
    {"clear", nullptr},      {"copy", copy},      {"fromkeys", refused}, {"get", get},
    {"items", entries},      {"keys", keys},      {"pop", nullptr},      {"popitem", nullptr},
    {"setdefault", nullptr}, {"update", nullptr}, {"values", values},
};
constexpr Method list_methods[] = {
    {"append", nullptr}, {"clear", nullptr},   {"copy", copy},      {"count", count},
    {"extend", nullptr}, {"index", index},     {"insert", nullptr}, {"pop", nullptr},
    {"remove", nullptr}, {"reverse", nullptr}, {"sort", nullptr},
};
constexpr Method tuple_methods[] = {{"count", count}, {"index", index}};

std::span<const Method> methods_of(const Value& value) {
  if (value.text()) return text_methods();
  if (value.dict()) return dict_methods;
  if (const Sequence* sequence = value.sequence()) {
    if (sequence->kind == SequenceKind::list) return list_methods;
    if (sequence->kind == SequenceKind::tuple || sequence->kind == SequenceKind::range) return tuple_methods;
  }
  return {};
}

}  // namespace

const Method* find_method(const Value& of, std::string_view name) {
  const std::span<const Method> all = methods_of(of);
  const auto found = std::ranges::find(all, name, &Method::name);
  return found == all.end() ? nullptr : &*found;
}

Value bound_method(const Value& self, const Method& method) {
  return Value(std::make_shared<Function>(
      std::string(method.name), [self, apply = method.apply](Evaluator& evaluator, const Arguments& arguments) {
        return apply(evaluator, self, arguments);
      }));
}

}  // namespace ftl::chat
