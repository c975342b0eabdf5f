#include "trainer/chat_template/loop_state.h"

#include "trainer/chat_template/callables.h"
#include "trainer/chat_template/evaluator.h"
#include "trainer/chat_template/template_error.h"

namespace ftl::chat {
namespace {

Value cycle(LoopState& state, Evaluator&, const Arguments& arguments) {
  if (arguments.positional.empty()) throw TemplateError("`loop.cycle` needs at least one value");
  return arguments.positional[state.index % arguments.positional.size()];
}

Value changed(LoopState& state, Evaluator& evaluator, const Arguments& arguments) {
  const Value seen = Sequence{SequenceKind::tuple, arguments.positional};
  const bool is_other = !state.has_seen || !equal(seen, state.last_seen, evaluator.meter());
  state.has_seen = true;
  state.last_seen = seen;
  return is_other;
}

// The method does not own its loop: a loop may come to hold its own method.
template <class Method>
Value bound(const char* name, std::weak_ptr<LoopState> state, Method method) {
  return Value(
      std::make_shared<Function>(name, [state, method](Evaluator& evaluator, const Arguments& arguments) -> Value {
        const auto alive = state.lock();
        if (!alive) throw TemplateError("the loop has ended");
        return method(*alive, evaluator, arguments);
      }));
}

}  // namespace

void LoopState::end() {
  loop = nullptr;
  last_seen = Value();
}

std::string LoopState::shown() const {
  return "<LoopContext " + std::to_string(index + 1) + "/" + std::to_string(items.size()) + ">";
}

Value LoopState::attribute(std::string_view name) const {
  const auto at = static_cast<std::int64_t>(index), length = static_cast<std::int64_t>(items.size());
  if (name == "index") return at + 1;
  if (name == "index0") return at;
  if (name == "revindex") return length - at;
  if (name == "revindex0") return length - at - 1;
  if (name == "first") return at == 0;
  if (name == "last") return at + 1 == length;
  if (name == "length") return length;
  if (name == "depth") return level + 1;
  if (name == "depth0") return level;
  if (name == "previtem") return at > 0 ? items[index - 1] : Value::undefined("there is no previous item");
  if (name == "nextitem") return at + 1 < length ? items[index + 1] : Value::undefined("there is no next item");
  const auto self = std::const_pointer_cast<LoopState>(shared_from_this());
  if (name == "cycle") return bound("cycle", self, cycle);
  if (name == "changed") return bound("changed", self, changed);
  return {};
}

Value LoopState::call(Evaluator& evaluator, Arguments& arguments) {
  const Bound bound_arguments("loop", arguments, {"iterable"}, 1);
  if (loop == nullptr) throw TemplateError("the loop has ended");
  if (!loop->recursive) throw TemplateError("the loop is called, but it is not `recursive`");
  return evaluator.recurse(*loop, outside, bound_arguments[0], level + 1);
}

}  // namespace ftl::chat
