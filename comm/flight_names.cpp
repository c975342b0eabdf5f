// The names of phases and operations, and of a collective as a reader of a verdict sees it.
#include <array>

#include "comm/flight_recorder.h"

namespace ftl {

namespace {

constexpr std::array<std::string_view, 9> phase_names{"init",      "data",       "forward",  "backward", "reduce",
                                                      "optimizer", "checkpoint", "evaluate", "finalize"};
constexpr std::array<std::string_view, 10> operation_names{"none",           "exact_sum", "all_reduce", "all_gather",
                                                           "reduce_scatter", "broadcast", "gather",     "send",
                                                           "receive",        "barrier"};

std::string with_commas(std::uint64_t number) {
  std::string digits = std::to_string(number);
  for (std::size_t at = digits.size(); at > 3;) digits.insert(at -= 3, ",");
  return digits;
}

}  // namespace

std::string_view name_of(Phase phase) {
  const auto index = static_cast<std::size_t>(phase);
  return index < phase_names.size() ? phase_names[index] : "?";
}

std::optional<Phase> phase_named(std::string_view name) {
  for (std::size_t i = 0; i < phase_names.size(); ++i) {
    if (phase_names[i] == name) return static_cast<Phase>(i);
  }
  return std::nullopt;
}

std::string_view name_of(Operation operation) {
  const auto index = static_cast<std::size_t>(operation);
  return index < operation_names.size() ? operation_names[index] : "?";
}

std::string describe(const CollectiveSignature& signature) {
  std::string text =
      std::string(name_of(signature.operation)) + " " + name_of(signature.dtype) + " x " + with_commas(signature.count);
  if (signature.group != 0) text += " in group " + std::to_string(signature.group);
  return text + " at step " + std::to_string(signature.step);
}

}  // namespace ftl
