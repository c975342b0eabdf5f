#include "trainer/chat_template/value.h"

#include <algorithm>
#include <cmath>

#include "trainer/chat_template/limits.h"
#include "trainer/chat_template/template_error.h"

namespace ftl::chat {
namespace {

void check_depth(int depth) {
  if (depth > deepest_value) {
    throw TemplateError("values nest deeper than " + std::to_string(deepest_value) + " levels");
  }
}

double as_real(const Value& value) {
  if (value.real()) return *value.real();
  std::int64_t whole = 0;
  value.whole(whole);
  return static_cast<double>(whole);
}

bool is_list_like(SequenceKind kind) { return kind == SequenceKind::list || kind == SequenceKind::tuple; }

bool equal_numbers(const Value& left, const Value& right) {
  std::int64_t a = 0, b = 0;
  if (left.whole(a) && right.whole(b)) return a == b;
  return as_real(left) == as_real(right);
}

bool equal_dicts(const Dict& left, const Dict& right, Meter& meter) {
  if (left.entries().size() != right.entries().size()) return false;
  return std::ranges::all_of(left.entries(), [&](const Dict::Entry& entry) {
    const Value* other = right.find(entry.first);
    return other != nullptr && equal(entry.second, *other, meter);
  });
}

constexpr std::size_t longest_key = std::size_t{1} << 20;  // of tuples, whose parts may be shared and many

[[noreturn]] void no_order(const Value& left, const Value& right) {
  throw TemplateError("`" + type_name(left) + "` and `" + type_name(right) + "` have no order");
}

}  // namespace

Value::Value(Text text) : data_(std::make_shared<const Text>(std::move(text))) {}

Value::Value(Sequence sequence) {
  for (const Value& item : sequence.items) sequence.depth = std::max(sequence.depth, depth_of(item));
  check_depth(++sequence.depth);
  data_ = std::make_shared<Sequence>(std::move(sequence));
}

Value::Value(Dict dict) {
  check_depth(dict.depth);
  data_ = std::make_shared<const Dict>(std::move(dict));
}

Value Value::undefined(std::string why) {
  Value value;
  value.data_ = Undefined{std::make_shared<const std::string>(std::move(why))};
  return value;
}

const Text* Value::text() const {
  const auto* held = std::get_if<std::shared_ptr<const Text>>(&data_);
  return held ? held->get() : nullptr;
}
Sequence* Value::sequence() const {
  const auto* held = std::get_if<std::shared_ptr<Sequence>>(&data_);
  return held ? held->get() : nullptr;
}
const Dict* Value::dict() const {
  const auto* held = std::get_if<std::shared_ptr<const Dict>>(&data_);
  return held ? held->get() : nullptr;
}
Object* Value::object() const {
  const auto* held = std::get_if<std::shared_ptr<Object>>(&data_);
  return held ? held->get() : nullptr;
}

bool Value::whole(std::int64_t& value) const {
  if (integer()) value = *integer();
  if (boolean()) value = *boolean() ? 1 : 0;
  return integer() || boolean();
}

int depth_of(const Value& value) {
  if (const Sequence* sequence = value.sequence()) return sequence->depth;
  if (const Dict* dict = value.dict()) return dict->depth;
  return 0;
}

std::string hash_text(const Value& key) {
  if (const Text* text = key.text()) return "s" + text->bytes();
  if (key.is_none()) return "n";
  if (key.is_undefined()) return "u";
  std::int64_t whole = 0;
  if (key.whole(whole)) return "i" + std::to_string(whole);
  if (const double* real = key.real()) {
    const bool is_whole = std::floor(*real) == *real && std::abs(*real) < 9.0e15;
    return is_whole ? "i" + std::to_string(static_cast<std::int64_t>(*real)) : "r" + std::to_string(*real);
  }
  if (const Sequence* sequence = key.sequence(); sequence && sequence->kind == SequenceKind::tuple) {
    std::string all = "t";
    for (const Value& item : sequence->items) {
      const std::string part = hash_text(item);
      all += std::to_string(part.size()) + ":" + part;
      if (all.size() > longest_key) throw TemplateError("a key has more than 1 MiB");
    }
    return all;
  }
  throw TemplateError("unhashable type: `" + type_name(key) + "`");
}

const Value* Dict::find(const Value& key) const {
  const auto found = index_.find(hash_text(key));
  return found == index_.end() ? nullptr : &entries_[found->second].second;
}

const Value* Dict::find(std::string_view key) const {
  const auto found = index_.find("s" + std::string(key));
  return found == index_.end() ? nullptr : &entries_[found->second].second;
}

void Dict::set(const Value& key, Value value) {
  depth = std::max({depth, depth_of(key) + 1, depth_of(value) + 1});
  const auto [place, is_new] = index_.try_emplace(hash_text(key), entries_.size());
  if (is_new) {
    entries_.emplace_back(key, std::move(value));
  } else {
    entries_[place->second].second = std::move(value);
  }
}

Value Object::call(Evaluator&, Arguments&) { throw TemplateError("`" + type_name() + "` is not callable"); }

bool truth(const Value& value) {
  if (value.boolean()) return *value.boolean();
  if (value.integer()) return *value.integer() != 0;
  if (value.real()) return *value.real() != 0;
  if (value.text()) return !value.text()->empty();
  if (const Sequence* sequence = value.sequence()) {
    return sequence->kind == SequenceKind::iterator || !sequence->items.empty();
  }
  if (value.dict()) return !value.dict()->entries().empty();
  return value.object() != nullptr;
}

bool equal(const Value& left, const Value& right, Meter& meter) {
  meter.step();
  if (left.is_number() && right.is_number()) return equal_numbers(left, right);
  if (left.data().index() != right.data().index()) return false;
  if (const Text* a = left.text(), *b = right.text(); a != nullptr) {
    if (a->size() == b->size()) meter.take(a->size());
    return a->bytes() == b->bytes();
  }
  if (const Sequence* a = left.sequence(), *b = right.sequence(); a != nullptr) {
    if (a->kind != b->kind || a == b) return a == b;
    const bool has_value = is_list_like(a->kind) || a->kind == SequenceKind::range || a->kind == SequenceKind::keys;
    if (!has_value || a->items.size() != b->items.size()) return false;
    for (std::size_t i = 0; i < a->items.size(); ++i) {
      if (!equal(a->items[i], b->items[i], meter)) return false;
    }
    return true;
  }
  if (left.dict()) return left.dict() == right.dict() || equal_dicts(*left.dict(), *right.dict(), meter);
  if (left.object()) return left.object() == right.object();
  return true;  // none and none, undefined and undefined
}

bool less(const Value& left, const Value& right, Meter& meter) {
  meter.step();
  std::int64_t a = 0, b = 0;
  if (left.whole(a) && right.whole(b)) return a < b;
  if (left.is_number() && right.is_number()) return as_real(left) < as_real(right);
  if (left.text() && right.text()) {
    meter.take(std::min(left.text()->size(), right.text()->size()));
    return left.text()->bytes() < right.text()->bytes();
  }
  const Sequence *x = left.sequence(), *y = right.sequence();
  if (x == nullptr || y == nullptr || x->kind != y->kind || !is_list_like(x->kind)) no_order(left, right);
  for (std::size_t i = 0; i < x->items.size() && i < y->items.size(); ++i) {
    if (!equal(x->items[i], y->items[i], meter)) return less(x->items[i], y->items[i], meter);
  }
  return x->items.size() < y->items.size();
}

bool less_or_equal(const Value& left, const Value& right, Meter& meter) {
  return less(left, right, meter) || equal(left, right, meter);
}

std::string type_name(const Value& value) {
  if (value.is_undefined()) return "Undefined";
  if (value.is_none()) return "NoneType";
  if (value.boolean()) return "bool";
  if (value.integer()) return "int";
  if (value.real()) return "float";
  if (value.text()) return "str";
  if (value.dict()) return "dict";
  if (value.object()) return value.object()->type_name();
  constexpr const char* names[] = {"list", "tuple", "range", "dict_keys", "dict_values", "dict_items", "generator"};
  return names[static_cast<std::size_t>(value.sequence()->kind)];
}

}  // namespace ftl::chat
