// The values of a template, with Python's semantics. Immutable, but for namespaces, loops and half-read iterators:
// the sandbox that is imitated refuses every method that changes a list or a dict.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include "trainer/chat_template/text.h"

namespace ftl::chat {

class Dict;
class Evaluator;
class Meter;
struct Arguments;
struct Object;
struct Sequence;

struct None {};
struct Undefined {
  std::shared_ptr<const std::string> why;  // "`x` is undefined"; may be null
};

class Value {
 public:
  using Data = std::variant<Undefined, None, bool, std::int64_t, double, std::shared_ptr<const Text>,
                            std::shared_ptr<Sequence>, std::shared_ptr<const Dict>, std::shared_ptr<Object>>;

  Value() = default;                                                   // undefined
  Value(None) : data_(None{}) {}                                       // NOLINT: implicit by design, as the next ones
  Value(bool value) : data_(value) {}                                  // NOLINT
  Value(std::int64_t value) : data_(value) {}                          // NOLINT
  Value(double value) : data_(value) {}                                // NOLINT
  Value(Text text);                                                    // NOLINT
  Value(std::string text) : Value(Text(std::move(text))) {}            // NOLINT
  Value(const char* text) : Value(std::string(text)) {}                // NOLINT
  Value(Sequence sequence);                                            // NOLINT
  Value(Dict dict);                                                    // NOLINT
  Value(std::shared_ptr<Object> object) : data_(std::move(object)) {}  // NOLINT
  static Value undefined(std::string why);

  bool is_undefined() const { return std::holds_alternative<Undefined>(data_); }
  bool is_none() const { return std::holds_alternative<None>(data_); }
  const bool* boolean() const { return std::get_if<bool>(&data_); }
  const double* real() const { return std::get_if<double>(&data_); }
  const std::int64_t* integer() const { return std::get_if<std::int64_t>(&data_); }  // not of a bool
  const Text* text() const;
  Sequence* sequence() const;
  const Dict* dict() const;
  Object* object() const;
  const Data& data() const { return data_; }

  bool is_number() const { return boolean() || integer() || real(); }
  // Of an integer or a bool, which Python counts as one.
  bool whole(std::int64_t& value) const;

 private:
  Data data_;
};

enum class SequenceKind : std::uint8_t { list, tuple, range, keys, values, items, iterator };

// Iterators are what filters such as `map` give: they are always true, have no length and can be read once.
struct Sequence {
  SequenceKind kind = SequenceKind::list;
  std::vector<Value> items{};
  std::array<std::int64_t, 3> range{};  // start, stop, step
  int depth = 0;                        // set by Value: 1 + the deepest item's
  bool is_group = false;                // of groupby: a pair whose parts have names
};

// Keys are hashable values, in the order of insertion.
class Dict {
 public:
  using Entry = std::pair<Value, Value>;
  const std::vector<Entry>& entries() const { return entries_; }
  const Value* find(const Value& key) const;  // null: not there. Throws on a key that cannot be hashed
  const Value* find(std::string_view key) const;
  void set(const Value& key, Value value);
  std::int32_t message = -1;  // index into `messages` when this is one of them
  int depth = 1;

 private:
  std::vector<Entry> entries_;
  std::unordered_map<std::string, std::size_t> index_;  // by hash_text
};

// Equal for keys that Python calls equal (1, 1.0, true). Throws TemplateError for lists and dicts.
std::string hash_text(const Value& key);

// What is neither data nor text: namespaces, loops, macros, methods, functions.
struct Object {
  virtual ~Object() = default;
  virtual std::string type_name() const = 0;
  virtual std::string shown() const { return "<" + type_name() + ">"; }
  virtual Value attribute(std::string_view) const { return {}; }  // undefined: there is none
  virtual bool is_callable() const { return false; }
  virtual Value call(Evaluator& evaluator, Arguments& arguments);  // throws: not callable
};

bool truth(const Value& value);
// Values share their parts, so comparing two of them can take longer than either is large: the meter counts.
bool equal(const Value& left, const Value& right, Meter& meter);
bool less(const Value& left, const Value& right, Meter& meter);  // throws on types without an order
bool less_or_equal(const Value& left, const Value& right, Meter& meter);
std::string type_name(const Value& value);  // Python's: "str", "int", "dict"
int depth_of(const Value& value);

// `own` marks every string of it: of message `message`, but for what stands under "role" and "name" (they say who
// speaks and stand in headers). Numbers outside 64 bits are an error.
Value from_json(const nlohmann::ordered_json& json);
Value message_from_json(const nlohmann::ordered_json& json, std::int32_t message);

}  // namespace ftl::chat
