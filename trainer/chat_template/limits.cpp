#include "trainer/chat_template/limits.h"

#include <string>

#include "trainer/chat_template/template_error.h"

namespace ftl::chat {

void Meter::take_copies(std::size_t bytes, std::int64_t count) {
  if (count <= 0 || bytes == 0) return;
  if (static_cast<std::uint64_t>(count) > limits_.output_bytes / bytes) too_long();
  take(bytes * static_cast<std::size_t>(count));
}

void Meter::out_of_steps() const {
  throw TemplateError("the template takes more than " + std::to_string(limits_.steps) + " steps");
}
void Meter::out_of_memory() const {
  throw TemplateError("the template makes more than " + std::to_string(limits_.memory_bytes >> 20) + " MiB of values");
}
void Meter::too_long() const {
  throw TemplateError("the template makes a text of more than " + std::to_string(limits_.output_bytes >> 20) + " MiB");
}
void Meter::too_deep() const {
  throw TemplateError("calls and expressions nest deeper than " + std::to_string(limits_.depth) + " levels");
}

}  // namespace ftl::chat
