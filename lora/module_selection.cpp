// Which linear layers carry an adapter: PEFT's matching rules (tuners_utils.py, check_target_module_exists).
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <algorithm>
#include <cmath>
#include <memory>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "lora/adapter.h"

namespace ftl {
namespace {

constexpr std::size_t longest_pattern = 1024;
constexpr std::uint32_t match_limit =
    100000;  // steps of the matcher a name: a pattern that needs more is refused, not run
constexpr std::uint32_t depth_limit = 1000;
constexpr int largest_rank = 1 << 16;

std::string leaf_of(const std::string& name) { return name.substr(name.rfind('.') + 1); }

bool named_by(const std::string& module, const std::string& target) {
  if (module == target) return true;
  return module.size() > target.size() && module.ends_with(target) && module[module.size() - target.size() - 1] == '.';
}

std::string existing_names(std::span<const LinearModule> all) {
  std::vector<std::string> leaves;
  for (const LinearModule& module : all) {
    const std::string leaf = leaf_of(module.name);
    if (std::find(leaves.begin(), leaves.end(), leaf) == leaves.end()) leaves.push_back(leaf);
  }
  return fmt::format("{}", fmt::join(leaves, ", "));
}

Failure unmatched(const std::string& what, std::span<const LinearModule> all) {
  return Failure{FaultKind::adapter_target_unmatched, what + "; the model's linear modules are: " + existing_names(all),
                 "lora_target", ""};
}

class Pattern {
 public:
  static Result<Pattern> compile(const std::string& text) {
    if (text.size() > longest_pattern) {
      return Failure{FaultKind::config_invalid_value,
                     fmt::format("the lora_target pattern has {} characters, at most {} are allowed", text.size(),
                                 longest_pattern),
                     "lora_target", ""};
    }
    int error = 0;
    PCRE2_SIZE offset = 0;
    pcre2_code* code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(),
                                     PCRE2_ANCHORED | PCRE2_ENDANCHORED, &error, &offset, nullptr);
    if (code == nullptr) {
      char message[160] = {};
      pcre2_get_error_message(error, reinterpret_cast<PCRE2_UCHAR*>(message), sizeof message);
      return Failure{FaultKind::config_invalid_value,
                     fmt::format("the lora_target pattern is not valid at character {}: {}", offset + 1, message),
                     "lora_target", "write a regular expression, or a list of module names"};
    }
    return Pattern(code);
  }

  // Whether the whole name matches.
  Result<bool> matches(const std::string& name) const {
    const int result = pcre2_match(code_.get(), reinterpret_cast<PCRE2_SPTR>(name.data()), name.size(), 0, 0,
                                   data_.get(), limits_.get());
    if (result >= 0) return true;
    if (result == PCRE2_ERROR_NOMATCH) return false;
    return Failure{
        FaultKind::config_invalid_value,
        fmt::format("matching the lora_target pattern against \"{}\" needs more than {} steps", name, match_limit),
        "lora_target", "simplify the pattern: nested repetitions like (a+)+ take exponential time"};
  }

 private:
  explicit Pattern(pcre2_code* code)
      : code_(code, pcre2_code_free),
        data_(pcre2_match_data_create_from_pattern(code, nullptr), pcre2_match_data_free),
        limits_(pcre2_match_context_create(nullptr), pcre2_match_context_free) {
    pcre2_set_match_limit(limits_.get(), match_limit);
    pcre2_set_depth_limit(limits_.get(), depth_limit);
  }
  std::shared_ptr<pcre2_code> code_;
  std::shared_ptr<pcre2_match_data> data_;
  std::shared_ptr<pcre2_match_context> limits_;
};

Result<Done> choose_by_pattern(const std::string& text, std::span<const LinearModule> all,
                               std::vector<LinearModule>& chosen) {
  const Result<Pattern> pattern = Pattern::compile(text);
  if (!pattern) return pattern.error();
  for (const LinearModule& module : all) {
    const Result<bool> matched = pattern->matches(module.name);
    if (!matched) return matched.error();
    if (*matched) chosen.push_back(module);
  }
  if (chosen.empty()) return unmatched(fmt::format("the pattern \"{}\" matches no whole module name", text), all);
  return Done{};
}

Result<Done> choose_by_name(std::span<const std::string> targets, std::span<const LinearModule> all,
                            std::vector<LinearModule>& chosen) {
  for (const std::string& target : targets) {
    const bool known =
        std::any_of(all.begin(), all.end(), [&](const LinearModule& module) { return named_by(module.name, target); });
    if (!known) return unmatched(fmt::format("lora_target \"{}\" names no module of the model", target), all);
  }
  for (const LinearModule& module : all) {
    if (std::any_of(targets.begin(), targets.end(),
                    [&](const std::string& target) { return named_by(module.name, target); })) {
      chosen.push_back(module);
    }
  }
  return Done{};
}

}  // namespace

std::int64_t AdapterShape::parameters() const {
  std::int64_t count = 0;
  for (const LinearModule& module : modules) count += options.rank * (module.in + module.out);
  return count;
}

double AdapterShape::scaling() const {
  return options.rslora ? options.alpha / std::sqrt(static_cast<double>(options.rank)) : options.alpha / options.rank;
}

bool is_pattern(const std::string& target) { return target.find_first_of("\\^$*+?()[]{}|") != std::string::npos; }

Result<AdapterShape> select_modules(const AdapterOptions& options, std::span<const LinearModule> all) {
  if (options.rank < 1 || options.rank > largest_rank) {
    return Failure{FaultKind::config_invalid_value,
                   fmt::format("lora_rank is {}, must be 1 to {}", options.rank, largest_rank), "lora_rank", ""};
  }
  if (!std::isfinite(options.alpha))
    return Failure{FaultKind::config_invalid_value, "lora_alpha is not a finite number", "lora_alpha", ""};
  AdapterShape shape{options, {}};
  const bool single = options.target.size() == 1;
  if (single && (options.target[0] == "all" || options.target[0] == "all-linear")) {
    for (const LinearModule& module : all) {
      if (leaf_of(module.name) != "lm_head") shape.modules.push_back(module);
    }
    if (shape.modules.empty()) return unmatched("the model has no linear module that can carry an adapter", all);
    return shape;
  }
  if (options.target.empty()) return unmatched("lora_target is empty", all);
  const Result<Done> chosen = single && is_pattern(options.target[0])
                                  ? choose_by_pattern(options.target[0], all, shape.modules)
                                  : choose_by_name(options.target, all, shape.modules);
  if (!chosen) return chosen.error();
  return shape;
}

}  // namespace ftl
