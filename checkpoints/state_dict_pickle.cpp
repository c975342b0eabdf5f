#include "checkpoints/state_dict_pickle.h"

#include <array>
#include <bit>
#include <cstring>
#include <map>
#include <optional>
#include <set>
#include <string_view>

#include <fmt/format.h>

#include "checkpoints/printable.h"

namespace ftl {
namespace {

static_assert(std::endian::native == std::endian::little, "pickled numbers are little-endian and read as they lie");

// The largest published models need some 20 thousand values.
constexpr std::size_t largest_pickle = std::size_t{64} << 20, most_values = 1 << 20, deepest_stack = 1 << 16;
constexpr std::size_t most_dimensions = 8;

enum class Kind : std::uint8_t { none, boolean, integer, real, text, global, tuple, list, dictionary, storage, tensor };
enum class Global : std::uint8_t { ordered_dict, rebuild_tensor, storage_type };

struct Value {
  Kind kind = Kind::none;
  std::int64_t number = 0;                // integer, boolean; index of a tensor
  std::string_view text = {};             // text; key of a storage; within the pickle
  Global global = {};                     // global
  DType dtype = DType::f32;               // global storage_type, storage
  std::vector<std::uint32_t> items = {};  // tuple, list: indices of values; dictionary: key, value, key, value
};

struct KnownGlobal {
  std::string_view name;
  Global global;
  DType dtype;
};
constexpr std::array<KnownGlobal, 5> known_globals = {{
    {"collections.OrderedDict", Global::ordered_dict, DType::f32},
    {"torch._utils._rebuild_tensor_v2", Global::rebuild_tensor, DType::f32},
    {"torch.FloatStorage", Global::storage_type, DType::f32},
    {"torch.HalfStorage", Global::storage_type, DType::f16},
    {"torch.BFloat16Storage", Global::storage_type, DType::bf16},
}};

class Interpreter {
 public:
  Interpreter(std::span<const std::byte> pickle, const std::string& name)
      : pickle_(reinterpret_cast<const char*>(pickle.data()), pickle.size()), name_(name) {}

  Result<std::vector<PickledTensor>> run() {
    if (pickle_.size() > largest_pickle)
      return refused(fmt::format("the pickle has {} bytes, at most {} are read", pickle_.size(), largest_pickle));
    while (!failure_ && !stopped_) step();
    if (failure_) return *failure_;
    return result();
  }

 private:
  Failure refused(std::string what) const {
    return {FaultKind::model_family_unsupported, std::move(what), name_,
            "save a plain dictionary of contiguous CPU tensors, or convert the weights to safetensors"};
  }
  void refuse(std::string what) {
    if (!failure_) failure_ = refused(fmt::format("{} at byte {} of the pickle", what, opcode_at_));
  }
  void broken(std::string what) {
    if (!failure_) {
      failure_ = Failure{FaultKind::checkpoint_incomplete, fmt::format("{} at byte {} of the pickle", what, opcode_at_),
                         name_, "fetch the file again and compare its size"};
    }
  }

  // ---- bytes
  std::string_view take(std::size_t count) {
    if (count > pickle_.size() - at_) {
      broken(fmt::format("{} bytes are called for and {} are left", count, pickle_.size() - at_));
      return {};
    }
    at_ += count;
    return pickle_.substr(at_ - count, count);
  }
  template <class Number>
  Number number() {
    Number value = 0;
    const std::string_view bytes = take(sizeof value);
    if (!failure_) std::memcpy(&value, bytes.data(), sizeof value);
    return value;
  }
  std::string_view line() {
    const std::size_t end = pickle_.substr(at_, 256).find('\n');
    if (end == std::string_view::npos) {
      broken("a name does not end");
      return {};
    }
    const std::string_view text = take(end);
    (void)take(1);
    return text;
  }

  // ---- stack
  void push(Value value) {
    if (values_.size() >= most_values) return refuse(fmt::format("more than {} values", most_values));
    values_.push_back(std::move(value));
    push_index(static_cast<std::uint32_t>(values_.size() - 1));
  }
  void push_index(std::uint32_t index) {
    if (stack_.size() >= deepest_stack) return refuse(fmt::format("a stack deeper than {}", deepest_stack));
    stack_.push_back(index);
  }
  std::size_t floor() const { return marks_.empty() ? 0 : marks_.back(); }
  // Index of the popped value; 0 after a failure.
  std::uint32_t pop() {
    if (stack_.size() <= floor()) {
      broken("a value is called for and the stack is empty");
      return 0;
    }
    const std::uint32_t index = stack_.back();
    stack_.pop_back();
    return index;
  }
  std::vector<std::uint32_t> pop_to_mark() {
    if (marks_.empty()) {
      broken("a mark is called for and there is none");
      return {};
    }
    std::vector<std::uint32_t> items(stack_.begin() + static_cast<std::ptrdiff_t>(marks_.back()), stack_.end());
    stack_.resize(marks_.back());
    marks_.pop_back();
    return items;
  }
  Value* top_of_kind(Kind kind, const char* what) {
    if (failure_) return nullptr;
    if (stack_.size() <= floor() || values_[stack_.back()].kind != kind) {
      refuse(what);
      return nullptr;
    }
    return &values_[stack_.back()];
  }

  // ---- opcodes
  void step() {
    opcode_at_ = at_;
    const std::string_view byte = take(1);
    if (failure_) return;
    const auto opcode = static_cast<unsigned char>(byte[0]);
    if (!number_or_text(opcode) && !container(opcode) && !memo_or_call(opcode))
      refuse(fmt::format("the opcode 0x{:02x}, which a dictionary of tensors does not need,", opcode));
  }

  bool number_or_text(unsigned char opcode) {
    switch (opcode) {
      case 'N': push({.kind = Kind::none}); return true;
      case 0x88: push({.kind = Kind::boolean, .number = 1}); return true;
      case 0x89: push({.kind = Kind::boolean, .number = 0}); return true;
      case 'J': push({.kind = Kind::integer, .number = number<std::int32_t>()}); return true;
      case 'K': push({.kind = Kind::integer, .number = number<std::uint8_t>()}); return true;
      case 'M': push({.kind = Kind::integer, .number = number<std::uint16_t>()}); return true;
      case 'G':
        (void)take(8);
        push({.kind = Kind::real});
        return true;
      case 'X': {
        const std::string_view text = take(number<std::uint32_t>());
        push({.kind = Kind::text, .text = text});
        return true;
      }
      case 0x8a: long_number(); return true;
      default: return false;
    }
  }
  void long_number() {
    const std::size_t length = number<std::uint8_t>();
    if (length > 8) return refuse(fmt::format("a number of {} bytes", length));
    const std::string_view bytes = take(length);
    if (failure_) return;
    std::int64_t value = length > 0 && (bytes.back() & 0x80) != 0 ? -1 : 0;  // two's complement
    std::memcpy(&value, bytes.data(), length);
    push({.kind = Kind::integer, .number = value});
  }

  bool container(unsigned char opcode) {
    switch (opcode) {
      case '}': push({.kind = Kind::dictionary}); return true;
      case ']': push({.kind = Kind::list}); return true;
      case ')': push({.kind = Kind::tuple}); return true;
      case '(': mark(); return true;
      case 't': push({.kind = Kind::tuple, .items = pop_to_mark()}); return true;
      case 0x85:
      case 0x86:
      case 0x87: small_tuple(opcode - 0x84u); return true;
      case 's': {
        const std::uint32_t value = pop(), key = pop();
        set_items({key, value});
        return true;
      }
      case 'u': set_items(pop_to_mark()); return true;
      case 'a': append({pop()}); return true;
      case 'e': append(pop_to_mark()); return true;
      default: return false;
    }
  }
  void mark() {
    if (marks_.size() >= deepest_stack) return refuse(fmt::format("more than {} marks", deepest_stack));
    marks_.push_back(stack_.size());
  }
  void small_tuple(std::size_t count) {
    std::vector<std::uint32_t> items(count);
    while (count > 0) items[--count] = pop();
    push({.kind = Kind::tuple, .items = std::move(items)});
  }
  void append(const std::vector<std::uint32_t>& items) {
    if (Value* list = top_of_kind(Kind::list, "something that is no list is appended to"))
      list->items.insert(list->items.end(), items.begin(), items.end());
  }
  void set_items(const std::vector<std::uint32_t>& items) {
    if (items.size() % 2 != 0) return broken("a key has no value");
    if (Value* dictionary = top_of_kind(Kind::dictionary, "entries are put into something that is no dictionary"))
      dictionary->items.insert(dictionary->items.end(), items.begin(), items.end());
  }

  bool memo_or_call(unsigned char opcode) {
    switch (opcode) {
      case 0x80: protocol(number<std::uint8_t>()); return true;
      case 'q': put(number<std::uint8_t>()); return true;
      case 'r': put(number<std::uint32_t>()); return true;
      case 'h': get(number<std::uint8_t>()); return true;
      case 'j': get(number<std::uint32_t>()); return true;
      case 'c': global(); return true;
      case 'Q': storage(); return true;
      case 'R': call(); return true;
      case 'b': drop_state(); return true;
      case '.': stopped_ = true; return true;
      default: return false;
    }
  }
  void protocol(int version) {
    if (version != 2) refuse(fmt::format("pickle protocol {} (torch.save writes 2)", version));
  }
  void put(std::uint32_t key) {
    if (stack_.size() <= floor()) return broken("nothing is there to be remembered");
    if (memo_.size() >= most_values) return refuse(fmt::format("more than {} remembered values", most_values));
    memo_[key] = stack_.back();
  }
  void get(std::uint32_t key) {
    if (failure_) return;
    const auto found = memo_.find(key);
    if (found == memo_.end()) return broken(fmt::format("the value {} is called for and was never remembered", key));
    push_index(found->second);
  }
  void global() {
    const std::string_view module = line(), attribute = line();
    if (failure_) return;
    const std::string name = fmt::format("{}.{}", module, attribute);
    for (const KnownGlobal& known : known_globals) {
      if (known.name == name) return push({.kind = Kind::global, .global = known.global, .dtype = known.dtype});
    }
    refuse(fmt::format("the name {}, which a dictionary of float32, float16 or bfloat16 tensors does not need,",
                       printable(name)));
  }
  // ('storage', type, key, location, elements)
  void storage() {
    const std::uint32_t index = pop();
    if (failure_) return;
    const std::vector<std::uint32_t>& parts = values_[index].items;
    const auto is = [&](std::size_t i, Kind kind) { return values_[parts[i]].kind == kind; };
    if (values_[index].kind != Kind::tuple || parts.size() != 5 || !is(0, Kind::text) ||
        values_[parts[0]].text != "storage" || !is(1, Kind::global) ||
        values_[parts[1]].global != Global::storage_type || !is(2, Kind::text) || !is(4, Kind::integer) ||
        values_[parts[4]].number < 0)
      return refuse("a reference that is not to a storage");
    push({.kind = Kind::storage,
          .number = values_[parts[4]].number,
          .text = values_[parts[2]].text,
          .dtype = values_[parts[1]].dtype});
  }
  void call() {
    const std::uint32_t arguments = pop(), callee = pop();
    if (failure_) return;
    if (values_[callee].kind != Kind::global || values_[arguments].kind != Kind::tuple)
      return refuse("a call of something that is none of the names above");
    switch (values_[callee].global) {
      case Global::ordered_dict:
        if (!values_[arguments].items.empty()) return refuse("an OrderedDict with arguments");
        return push({.kind = Kind::dictionary});
      case Global::rebuild_tensor: return rebuild(values_[arguments].items);
      case Global::storage_type: return refuse("a storage that is made by a call");
    }
  }
  // What torch keeps beside the entries of a state dict (_metadata: versions of modules) says nothing about weights.
  void drop_state() {
    const std::uint32_t state = pop();
    if (failure_) return;
    if (values_[state].kind != Kind::dictionary) return refuse("a state that is no dictionary");
    (void)top_of_kind(Kind::dictionary, "a state is given to something that is no dictionary");
  }

  std::optional<std::vector<std::int64_t>> extents(std::uint32_t index) const {
    const Value& value = values_[index];
    if (value.kind != Kind::tuple || value.items.size() > most_dimensions) return std::nullopt;
    std::vector<std::int64_t> numbers;
    for (const std::uint32_t item : value.items) {
      if (values_[item].kind != Kind::integer || values_[item].number < 0) return std::nullopt;
      numbers.push_back(values_[item].number);
    }
    return numbers;
  }
  // _rebuild_tensor_v2(storage, offset, shape, strides, requires_grad, hooks[, metadata])
  void rebuild(const std::vector<std::uint32_t>& arguments) {
    if (arguments.size() != 6 && arguments.size() != 7)
      return refuse(fmt::format("a tensor made of {} arguments", arguments.size()));
    const Value &from = values_[arguments[0]], &offset = values_[arguments[1]];
    const auto shape = extents(arguments[2]), strides = extents(arguments[3]);
    if (from.kind != Kind::storage || offset.kind != Kind::integer || offset.number < 0 || !shape || !strides ||
        shape->size() != strides->size())
      return refuse(
          fmt::format("a tensor without storage, offset, shape and strides of at most {} dimensions", most_dimensions));
    if (!lies_within(*shape, *strides, offset.number, from.number))
      return broken(fmt::format("a tensor that reaches beyond the {} elements of its storage", from.number));
    tensors_.push_back({"", from.dtype, std::string(from.text), from.number, offset.number, *shape, *strides});
    push({.kind = Kind::tensor, .number = static_cast<std::int64_t>(tensors_.size() - 1)});
  }
  static bool lies_within(const std::vector<std::int64_t>& shape, const std::vector<std::int64_t>& strides,
                          std::int64_t offset, std::int64_t elements) {
    std::int64_t bytes = 4, last = offset;
    bool is_empty = false;
    for (std::size_t i = 0; i < shape.size(); ++i) {
      is_empty = is_empty || shape[i] == 0;
      std::int64_t reach = 0;
      if (__builtin_mul_overflow(bytes, shape[i], &bytes)) return false;
      if (shape[i] > 0 &&
          (__builtin_mul_overflow(shape[i] - 1, strides[i], &reach) || __builtin_add_overflow(last, reach, &last)))
        return false;
    }
    return is_empty ? offset <= elements : last < elements;
  }

  Result<std::vector<PickledTensor>> result() {
    if (stack_.size() != 1 || values_[stack_[0]].kind != Kind::dictionary)
      return refused("the pickle holds no dictionary of tensors");
    std::vector<PickledTensor> named;
    std::set<std::string_view> names;
    const std::vector<std::uint32_t>& items = values_[stack_[0]].items;
    for (std::size_t i = 0; i + 1 < items.size(); i += 2) {
      const Value &key = values_[items[i]], &value = values_[items[i + 1]];
      if (key.kind != Kind::text) return refused("a key of the dictionary is no text");
      if (value.kind != Kind::tensor)
        return refused(fmt::format("the entry \"{}\" of the dictionary is no tensor", printable(key.text)));
      if (!names.insert(key.text).second)
        return refused(fmt::format("the tensor \"{}\" is there twice", printable(key.text)));
      named.push_back(tensors_[static_cast<std::size_t>(value.number)]);
      named.back().name = key.text;
    }
    return named;
  }

  std::string_view pickle_;
  const std::string& name_;
  std::size_t at_ = 0, opcode_at_ = 0;
  bool stopped_ = false;
  std::optional<Failure> failure_;
  std::vector<Value> values_;
  std::vector<PickledTensor> tensors_;
  std::vector<std::uint32_t> stack_;  // indices of values_
  std::vector<std::size_t> marks_;    // heights of the stack
  std::map<std::uint32_t, std::uint32_t> memo_;
};

}  // namespace

Result<std::vector<PickledTensor>> read_state_dict_pickle(std::span<const std::byte> pickle, const std::string& name) {
  return Interpreter(pickle, name).run();
}

}  // namespace ftl
