#include "trainer/chat_template/arguments.h"

#include <algorithm>

#include "trainer/chat_template/template_error.h"

namespace ftl::chat {

Bound::Bound(std::string_view callee, const Arguments& arguments, std::initializer_list<std::string_view> names,
             std::size_t required)
    : callee_(callee), names_(names), values_(names.size()), given_(names.size()) {
  if (arguments.positional.size() > names_.size()) {
    throw TemplateError("`" + callee_ + "` takes at most " + std::to_string(names_.size()) + " arguments, " +
                        std::to_string(arguments.positional.size()) + " are given");
  }
  for (std::size_t i = 0; i < arguments.positional.size(); ++i) {
    values_[i] = arguments.positional[i];
    given_[i] = true;
  }
  for (const auto& [name, value] : arguments.named) {
    const auto index = static_cast<std::size_t>(std::ranges::find(names_, std::string_view(name)) - names_.begin());
    if (index == names_.size()) throw TemplateError("`" + callee_ + "` has no argument `" + name + "`");
    if (given_[index]) throw TemplateError("`" + callee_ + "` is given `" + name + "` twice");
    values_[index] = value;
    given_[index] = true;
  }
  for (std::size_t i = 0; i < required; ++i) {
    if (!given_[i]) throw TemplateError("`" + callee_ + "` needs the argument `" + std::string(names_[i]) + "`");
  }
}

bool Bound::flag(std::size_t index, bool fallback) const { return given_[index] ? truth(values_[index]) : fallback; }

std::int64_t Bound::integer(std::size_t index, std::int64_t fallback) const {
  std::int64_t value = fallback;
  if (given_[index] && !values_[index].whole(value)) wrong_type(index, "int");
  return value;
}

const Text& Bound::text(std::size_t index) const {
  if (!values_[index].text()) wrong_type(index, "str");
  return *values_[index].text();
}

void Bound::wrong_type(std::size_t index, std::string_view expected) const {
  throw TemplateError("`" + std::string(names_[index]) + "` of `" + callee_ + "` must be `" + std::string(expected) +
                      "`, not `" + type_name(values_[index]) + "`");
}

}  // namespace ftl::chat
