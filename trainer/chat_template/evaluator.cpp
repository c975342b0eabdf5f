// Statements. Expressions are in expressions.cpp.
#include "trainer/chat_template/evaluator.h"

#include <algorithm>
#include <utility>

#include "trainer/chat_template/callables.h"
#include "trainer/chat_template/loop_state.h"
#include "trainer/chat_template/printing.h"
#include "trainer/chat_template/template_error.h"

namespace ftl::chat {

// A scope while this lives; it stays behind when a macro was made meanwhile, which may refer to it.
class Evaluator::InnerScope {
 public:
  InnerScope(Evaluator& evaluator, const Scope* parent)
      : evaluator_(evaluator),
        before_(evaluator.scope_),
        scopes_(evaluator.scopes_.size()),
        macros_(evaluator.macros_made_) {
    evaluator.meter_.take(sizeof(Scope));
    evaluator.scope_ = &evaluator.scopes_.emplace_back(Scope{parent, {}});
  }
  ~InnerScope() {
    evaluator_.scope_ = before_;
    while (macros_ == evaluator_.macros_made_ && evaluator_.scopes_.size() > scopes_) evaluator_.scopes_.pop_back();
  }
  InnerScope(const InnerScope&) = delete;
  InnerScope& operator=(const InnerScope&) = delete;

 private:
  Evaluator& evaluator_;
  Scope* before_;
  std::size_t scopes_, macros_;
};

// Output goes into `text` while this lives.
class Evaluator::Capture {
 public:
  explicit Capture(Evaluator& evaluator) : evaluator_(evaluator), before_(std::exchange(evaluator.out_, &text)) {}
  ~Capture() { evaluator_.out_ = before_; }
  Capture(const Capture&) = delete;
  Capture& operator=(const Capture&) = delete;
  Text text;

 private:
  Evaluator& evaluator_;
  Text* before_;
};

namespace {

template <class T>
class During {
 public:
  During(T& place, T value) : place_(place), before_(std::exchange(place, std::move(value))) {}
  ~During() { place_ = std::move(before_); }
  During(const During&) = delete;
  During& operator=(const During&) = delete;

 private:
  T& place_;
  T before_;
};

std::int32_t message_of(const Value& value) { return value.dict() ? value.dict()->message : -1; }

}  // namespace

Evaluator::Evaluator(const Limits& limits, std::unordered_map<std::string, Value> variables, const std::tm& now)
    : meter_(limits), now_(now) {
  scope_ = &scopes_.emplace_back(Scope{nullptr, std::move(variables)});
}

Text Evaluator::render(const Body& body) {
  Capture output(*this);
  run(body);
  return std::move(output.text);
}

void Evaluator::write(const Text& text) {
  meter_.take(text.size() + text.runs().size() * sizeof(Run));
  out_->append(text, around_);
  meter_.check_string(out_->size());
}

Value Evaluator::keep(std::unique_ptr<Object> object) {
  kept_.push_back(std::move(object));
  return Value(std::shared_ptr<Object>(std::shared_ptr<Object>(), kept_.back().get()));
}

Evaluator::Flow Evaluator::run(const Body& body) {
  const Meter::Level level(meter_);
  for (const Statement& statement : body) {
    meter_.step();
    place_ = statement.place;
    const Flow flow = std::visit([&](const auto& node) { return run(node); }, statement.node);
    if (flow != Flow::next) return flow;
  }
  return Flow::next;
}

Evaluator::Flow Evaluator::run(const Data& data) {
  meter_.take(data.text.size());
  out_->append(data.text, around_);
  meter_.check_string(out_->size());
  return Flow::next;
}

Evaluator::Flow Evaluator::run(const Print& print) {
  write(shown(evaluate(*print.of)));
  return Flow::next;
}

Evaluator::Flow Evaluator::run(const If& branches) {
  for (const auto& [condition, body] : branches.branches) {
    if (truth(evaluate(*condition))) return run(body);
  }
  return run(branches.otherwise);
}

Evaluator::Flow Evaluator::run(const For& loop) {
  const Value over = evaluate(*loop.over);
  const Place place = place_;
  std::vector<Value> items = iterate(over);
  place_ = place;
  return run_loop(loop, std::move(items), scope_, 0);
}

std::vector<Value> Evaluator::kept(const For& loop, std::vector<Value> items) {
  if (!loop.condition) return items;
  std::vector<Value> chosen;
  for (Value& item : items) {
    const InnerScope scope(*this, scope_);
    assign(loop.target, item);
    if (truth(evaluate(*loop.condition))) chosen.push_back(std::move(item));
  }
  return chosen;
}

Evaluator::Flow Evaluator::run_loop(const For& loop, std::vector<Value> items, const Scope* outside,
                                    std::int64_t level) {
  const auto state = std::make_shared<LoopState>();
  state->items = kept(loop, std::move(items));
  state->loop = &loop;
  state->outside = outside;
  state->level = level;
  struct Ending {
    LoopState& of;
    ~Ending() { of.end(); }
  } const ending{*state};
  if (state->items.empty()) {
    const InnerScope scope(*this, outside);
    return run(loop.otherwise);
  }
  for (; state->index < state->items.size(); ++state->index) {
    meter_.step();
    const InnerScope scope(*this, outside);
    const During<int> inside(loops_, loops_ + 1);
    const During<Source> around(around_, around_);
    const Value item = state->items[state->index];
    if (message_of(item) >= 0) around_.message = message_of(item);
    assign(loop.target, item);
    scope_->values["loop"] = Value(state);
    if (run(loop.body) == Flow::stop_loop) break;
  }
  return Flow::next;
}

Text Evaluator::recurse(const For& loop, const Scope* scope, const Value& over, std::int64_t level) {
  const Meter::Level nested(meter_);
  Capture output(*this);
  const During<Scope*> where(scope_, scope_);
  const InnerScope around(*this, scope);
  run_loop(loop, iterate(over), scope, level);
  return std::move(output.text);
}

Evaluator::Flow Evaluator::run(const Set& set) {
  const Value value = evaluate(*set.value);
  assign(set.target, value);
  const bool names_a_message = loops_ > 0 && around_.message < 0 && set.target.attribute.empty();
  if (names_a_message && message_of(value) >= 0) around_.message = message_of(value);
  return Flow::next;
}

Evaluator::Flow Evaluator::run(const SetBlock& set) {
  Value value;
  {
    Capture output(*this);
    const InnerScope scope(*this, scope_);
    run(set.body);
    value = std::move(output.text);
  }
  captured_ = *value.text();
  if (set.filters) value = evaluate(*set.filters);
  assign(set.target, value);
  return Flow::next;
}

Evaluator::Flow Evaluator::run(const FilterBlock& block) {
  {
    Capture output(*this);
    const InnerScope scope(*this, scope_);
    run(block.body);
    captured_ = std::move(output.text);
  }
  write(shown(evaluate(*block.filters)));
  return Flow::next;
}

Value Evaluator::macro(std::shared_ptr<const Signature> signature) {
  ++macros_made_;
  meter_.take(sizeof(Macro) + sizeof(Scope));
  return Value(std::make_shared<Macro>(std::move(signature), scope_));
}

Evaluator::Flow Evaluator::run(const MacroDefinition& definition) {
  const Value made = macro(definition.signature);
  scope_->values[definition.signature->name] = made;
  return Flow::next;
}

Evaluator::Flow Evaluator::run(const CallBlock& block) {
  const Call& call_of = std::get<Call>(block.call->node);
  const Value callee = evaluate(*call_of.of);
  Arguments arguments = arguments_of(call_of.arguments);
  arguments.named.emplace_back("caller", macro(block.caller));
  place_ = block.call->place;
  write(shown(call(callee, arguments)));
  return Flow::next;
}

Evaluator::Flow Evaluator::run(const With& with) {
  std::vector<Value> values;
  for (const auto& assignment : with.values) values.push_back(evaluate(*assignment.second));
  const InnerScope scope(*this, scope_);
  for (std::size_t i = 0; i < values.size(); ++i) assign(with.values[i].first, values[i]);
  return run(with.body);
}

Evaluator::Flow Evaluator::run(const Generation& block) {
  const InnerScope scope(*this, scope_);
  Source inside = around_;
  inside.generation = generations_++;
  const During<Source> around(around_, inside);
  return run(block.body);
}

void Evaluator::assign(const Target& target, const Value& value) {
  if (target.is_tuple) {
    const std::vector<Value> parts = iterate(value);
    place_ = target.place;
    if (parts.size() != target.parts.size()) {
      throw TemplateError("there are " + std::to_string(target.parts.size()) + " names for " +
                          std::to_string(parts.size()) + " values");
    }
    for (std::size_t i = 0; i < parts.size(); ++i) assign(target.parts[i], parts[i]);
    return;
  }
  if (target.attribute.empty()) {
    meter_.take(target.name.size() + sizeof(Value));
    scope_->values[target.name] = value;
    return;
  }
  place_ = target.place;
  auto* space = dynamic_cast<Namespace*>(value_of(Name{target.name}, target.place).object());
  if (space == nullptr) throw TemplateError("`" + target.name + "` is no namespace, so it takes no attributes");
  meter_.take(target.attribute.size() + sizeof(Value));
  space->values[target.attribute] = value;
}

namespace {

void bind_parameters(const Signature& signature, Arguments& arguments, Scope& scope, std::vector<bool>& given) {
  const std::size_t positional = std::min(arguments.positional.size(), signature.parameters.size());
  for (std::size_t i = 0; i < positional; ++i) {
    scope.values[signature.parameters[i].name] = arguments.positional[i];
    given[i] = true;
  }
  Dict more_named;
  bool has_caller = false;
  for (const auto& [name, value] : arguments.named) {
    const auto known = std::ranges::find(signature.parameters, name, &Parameter::name);
    const auto index = static_cast<std::size_t>(known - signature.parameters.begin());
    if (known != signature.parameters.end()) {
      if (given[index]) throw TemplateError("`" + signature.name + "` is given `" + name + "` twice");
      scope.values[name] = value;
      given[index] = true;
    } else if (name == "caller" && signature.takes_caller) {
      scope.values[name] = value;
      has_caller = true;
    } else if (signature.takes_named) {
      more_named.set(Value(name), value);
    } else {
      throw TemplateError("`" + signature.name + "` has no parameter `" + name + "`");
    }
  }
  if (signature.takes_caller && !has_caller) scope.values["caller"] = Value::undefined("no caller is defined");
  if (signature.takes_named) scope.values["kwargs"] = Value(std::move(more_named));
  if (!signature.takes_more && arguments.positional.size() > signature.parameters.size()) {
    throw TemplateError("`" + signature.name + "` takes at most " + std::to_string(signature.parameters.size()) +
                        " arguments, " + std::to_string(arguments.positional.size()) + " are given");
  }
  Sequence more{SequenceKind::tuple};
  more.items.assign(arguments.positional.begin() + static_cast<std::ptrdiff_t>(positional), arguments.positional.end());
  if (signature.takes_more) scope.values["varargs"] = Value(std::move(more));
}

}  // namespace

Text Evaluator::call_macro(const Signature& signature, const Scope* closure, Arguments& arguments) {
  const Meter::Level level(meter_);
  Capture output(*this);
  const InnerScope scope(*this, closure);
  std::vector<bool> given(signature.parameters.size());
  bind_parameters(signature, arguments, *scope_, given);
  for (std::size_t i = 0; i < given.size(); ++i) {
    const Parameter& parameter = signature.parameters[i];
    if (given[i]) continue;
    scope_->values[parameter.name] = parameter.fallback
                                         ? evaluate(*parameter.fallback)
                                         : Value::undefined("the parameter `" + parameter.name + "` was not given");
  }
  run(signature.body);
  return std::move(output.text);
}

}  // namespace ftl::chat
