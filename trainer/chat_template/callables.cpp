#include "trainer/chat_template/callables.h"

#include <algorithm>
#include <array>
#include <ctime>
#include <limits>

#include "trainer/chat_template/evaluator.h"
#include "trainer/chat_template/template_error.h"

namespace ftl::chat {

Value Macro::attribute(std::string_view name) const {
  if (name == "name") return signature->name;
  if (name != "arguments") return {};
  Sequence names{SequenceKind::tuple};
  for (const Parameter& parameter : signature->parameters) names.items.emplace_back(parameter.name);
  return names;
}

Value Macro::call(Evaluator& evaluator, Arguments& arguments) {
  return evaluator.call_macro(*signature, closure, arguments);
}

namespace {

Value range(Evaluator& evaluator, const Arguments& arguments) {
  const Bound bound("range", arguments, {"start", "stop", "step"}, 1);
  if (!arguments.named.empty()) throw TemplateError("`range` takes no named arguments");
  const std::int64_t start = bound.has(1) ? bound.integer(0, 0) : 0;
  const std::int64_t stop = bound.has(1) ? bound.integer(1, 0) : bound.integer(0, 0);
  const std::int64_t step = bound.integer(2, 1);
  if (step == 0) throw TemplateError("the step of `range` is 0");
  const bool is_empty = step > 0 ? start >= stop : start <= stop;
  const std::uint64_t distance = step > 0 ? static_cast<std::uint64_t>(stop) - static_cast<std::uint64_t>(start)
                                          : static_cast<std::uint64_t>(start) - static_cast<std::uint64_t>(stop);
  const std::uint64_t stride = step > 0 ? static_cast<std::uint64_t>(step) : 0 - static_cast<std::uint64_t>(step);
  const std::uint64_t count = is_empty ? 0 : (distance - 1) / stride + 1;
  const auto limit = static_cast<std::uint64_t>(evaluator.meter().limits().range_items);
  if (count > limit) {
    throw TemplateError("a range of " + std::to_string(count) + " items, at most " + std::to_string(limit) +
                        " are allowed");
  }
  evaluator.meter().take(count * sizeof(Value));
  Sequence sequence{SequenceKind::range, {}, {start, stop, step}};
  for (std::uint64_t i = 0; i < count; ++i) {
    sequence.items.emplace_back(start + static_cast<std::int64_t>(i) * step);
  }
  return sequence;
}

void take_entries(Evaluator& evaluator, const Arguments& arguments, const std::function<void(Value, Value)>& take) {
  if (arguments.positional.size() > 1) throw TemplateError("at most one positional argument is expected");
  for (const Value& source : arguments.positional) {
    if (source.dict()) {
      for (const auto& [key, value] : source.dict()->entries()) take(key, value);
      continue;
    }
    for (const Value& pair : evaluator.iterate(source)) {
      const std::vector<Value> parts = evaluator.iterate(pair);
      if (parts.size() != 2) throw TemplateError("an item of a dict must be a pair");
      take(parts[0], parts[1]);
    }
  }
  for (const auto& [name, value] : arguments.named) take(name, value);
}

Value make_dict(Evaluator& evaluator, const Arguments& arguments) {
  Dict dict;
  take_entries(evaluator, arguments, [&](const Value& key, Value value) {
    evaluator.meter().take(2 * sizeof(Dict::Entry));
    dict.set(key, std::move(value));
  });
  return dict;
}

Value make_namespace(Evaluator& evaluator, const Arguments& arguments) {
  auto made = std::make_unique<Namespace>();
  evaluator.meter().take(sizeof(Namespace));
  take_entries(evaluator, arguments, [&](const Value& key, Value value) {
    if (!key.text()) throw TemplateError("names in a namespace must be `str`, not `" + type_name(key) + "`");
    evaluator.meter().take(2 * sizeof(Dict::Entry));
    made->values[key.text()->bytes()] = std::move(value);
  });
  return evaluator.keep(std::move(made));
}

Value raise_exception(Evaluator& evaluator, const Arguments& arguments) {
  const Bound bound("raise_exception", arguments, {"message"}, 1);
  throw TemplateError("the template refuses: " + evaluator.shown(bound[0]).bytes().substr(0, 2000));
}

Value strftime_now(Evaluator& evaluator, const Arguments& arguments) {
  const Bound bound("strftime_now", arguments, {"format"}, 1);
  const std::string& format = bound.text(0).bytes();
  if (format.empty()) return "";
  std::array<char, 1024> buffer{};
  if (format.size() > 256 || format.find('\0') != format.npos) {
    throw TemplateError("the format of `strftime_now` has more than 256 bytes, or a NUL");
  }
  const std::size_t size = std::strftime(buffer.data(), buffer.size(), format.c_str(), &evaluator.now());
  return std::string(buffer.data(), size);
}

Value joiner(Evaluator&, const Arguments& arguments) {
  const Bound bound("joiner", arguments, {"sep"});
  const Value separator = bound.has(0) ? bound[0] : Value(", ");
  auto used = std::make_shared<bool>(false);
  return Value(std::make_shared<Function>("joiner", [separator, used](Evaluator&, const Arguments&) -> Value {
    return std::exchange(*used, true) ? separator : Value("");
  }));
}

struct Named {
  std::string_view name;
  Value (*function)(Evaluator&, const Arguments&);
};
constexpr Named functions[] = {
    {"range", range},
    {"dict", make_dict},
    {"namespace", make_namespace},
    {"raise_exception", raise_exception},
    {"strftime_now", strftime_now},
    {"joiner", joiner},
};

}  // namespace

const Value* find_function(std::string_view name) {
  static const auto values = [] {
    std::map<std::string, Value, std::less<>> made;
    for (const Named& named : functions) {
      made.emplace(named.name, Value(std::make_shared<Function>(std::string(named.name), named.function)));
    }
    return made;
  }();
  const auto found = values.find(name);
  return found == values.end() ? nullptr : &found->second;
}

}  // namespace ftl::chat
