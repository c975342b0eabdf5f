// The text form of a planted fault: key=value pairs, separated by commas, whose values may hold one more `=`.
#include <algorithm>
#include <array>
#include <charconv>
#include <limits>
#include <optional>

#include "comm/flight_recorder.h"
#include "comm/process_spec.h"

namespace ftl {

namespace {

// A fault that can be planted. Values are spoiled where they are made, wrong calls are made where calls are,
// checkpoints are damaged where they are written (by rank 0); every other fault fires in any phase.
struct KnownFault {
  std::string_view name;
  std::string_view only_phase = {};
  std::string_view value = {};  // what its value is called; empty = it takes none
  std::int64_t least = 0, most = 0;
};
constexpr std::array<KnownFault, 17> known_faults{{{"sigkill"},
                                                   {"oom"},
                                                   {"segv"},
                                                   {"exit", "", "N", 0, 255},
                                                   {"sigstop"},
                                                   {"hang_before_collective"},
                                                   {"skip_collective", "reduce"},
                                                   {"mismatch_collective", "reduce"},
                                                   {"slow", "forward", "MS", 1, 600'000},
                                                   {"nan_loss", "backward"},
                                                   {"nan_grad", "backward"},
                                                   {"loss_spike", "backward"},
                                                   {"disk_full", "checkpoint"},
                                                   {"torn_checkpoint", "checkpoint"},
                                                   {"bitflip_checkpoint", "checkpoint"},
                                                   {"drop_connection"},
                                                   {"comm_error", "reduce", "CODE", 1, 1'000'000}}};
constexpr std::int32_t most_times = 1'000'000;
constexpr std::array<std::string_view, 7> keys{"fault", "rank", "step", "phase", "attempt", "times", "value"};

const KnownFault* known(std::string_view name) {
  const auto found = std::find_if(known_faults.begin(), known_faults.end(), [&](auto& f) { return f.name == name; });
  return found == known_faults.end() ? nullptr : &*found;
}

std::string names_of_faults() {
  std::string text;
  for (const KnownFault& fault : known_faults) text += (text.empty() ? "" : ", ") + std::string(fault.name);
  return text;
}

template <class Names>
bool is_in(const Names& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

template <class Names>
std::string list_of(const Names& names) {
  std::string text;
  for (const std::string_view name : names) text += (text.empty() ? "" : ", ") + std::string(name);
  return text;
}

std::string phases() {
  std::string text;
  for (int p = 0; p <= static_cast<int>(Phase::finalize); ++p)
    text += (p ? ", " : "") + std::string(name_of(static_cast<Phase>(p)));
  return text;
}

Failure wrong(std::string_view whole, std::string what, std::string fix) {
  return {FaultKind::usage_error, std::move(what), "--inject \"" + std::string(whole) + "\"", std::move(fix)};
}

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) { spec_.text = std::string(text); }

  Result<FaultSpec> parse() {
    if (text_.size() > 1024) return wrong(text_.substr(0, 60), "a planted fault has at most 1024 characters", "");
    for (std::string_view rest = text_;;) {
      const std::size_t comma = rest.find(',');
      if (const Result<Done> one = pair(rest.substr(0, comma)); !one) return one.error();
      if (comma == std::string_view::npos) break;
      rest.remove_prefix(comma + 1);
    }
    if (spec_.fault.empty())
      return wrong(text_, "the fault is not named", "write fault=NAME, one of: " + names_of_faults());
    if (auto complaint = misfit(*known(spec_.fault))) return *complaint;
    if (spec_.fault == "slow" && !was_given("times")) spec_.times = most_times;  // a slow rank is slow in every step
    return spec_;
  }

 private:
  Result<Done> pair(std::string_view part) {
    const std::size_t equals = part.find('=');
    const std::string_view key = part.substr(0, equals);
    const std::string_view value = equals == std::string_view::npos ? std::string_view() : part.substr(equals + 1);
    if (!is_in(keys, key)) return wrong(text_, "unknown key `" + std::string(key) + "`", "keys: " + list_of(keys));
    if (value.empty())
      return wrong(text_, "`" + std::string(key) + "` has no value", "write " + std::string(key) + "=...");
    bool& seen = seen_[static_cast<std::size_t>(std::find(keys.begin(), keys.end(), key) - keys.begin())];
    if (seen) return wrong(text_, "`" + std::string(key) + "` is given twice", "give it once");
    seen = true;
    if (key == "fault") return fault(value);
    if (key == "phase") return phase(value);
    if (key == "rank")
      return number(key, value, 0, 1'000'000, [&](std::int64_t n) { spec_.rank = Rank{static_cast<std::int32_t>(n)}; });
    if (key == "step")
      return number(key, value, 1, std::numeric_limits<std::int64_t>::max(), [&](std::int64_t n) { spec_.step = n; });
    if (key == "attempt")
      return number(key, value, 0, 1'000'000, [&](std::int64_t n) { spec_.attempt = static_cast<std::int32_t>(n); });
    if (key == "times")
      return number(key, value, 1, most_times, [&](std::int64_t n) { spec_.times = static_cast<std::int32_t>(n); });
    return value_of_fault(value);
  }

  Result<Done> fault(std::string_view value) {
    const std::size_t equals = value.find('=');
    const std::string_view name = value.substr(0, equals);
    if (known(name) == nullptr) {
      return wrong(text_, "unknown fault `" + std::string(name) + "`", "faults: " + names_of_faults());
    }
    spec_.fault = std::string(name);
    return equals == std::string_view::npos ? Result<Done>(Done{}) : value_of_fault(value.substr(equals + 1));
  }

  Result<Done> phase(std::string_view value) {
    if (!phase_named(value)) return wrong(text_, "unknown phase `" + std::string(value) + "`", "phases: " + phases());
    spec_.phase = std::string(value);
    return Done{};
  }

  // Its range is judged when the fault is known: `value` may stand before it.
  Result<Done> value_of_fault(std::string_view value) {
    if (has_value_) return wrong(text_, "the fault's value is given twice", "write it once");
    has_value_ = true;
    return number("value", value, 0, std::numeric_limits<std::int32_t>::max(),
                  [&](std::int64_t n) { spec_.value = n; });
  }

  bool was_given(std::string_view key) const {
    return seen_[static_cast<std::size_t>(std::find(keys.begin(), keys.end(), key) - keys.begin())];
  }

  // What does not go together.
  std::optional<Failure> misfit(const KnownFault& fault) const {
    const std::string name(fault.name), form = "fault=" + name + "=" + std::string(fault.value);
    if (fault.value.empty() && has_value_) return wrong(text_, "`" + name + "` takes no value", "write fault=" + name);
    if (!fault.value.empty() && !has_value_)
      return wrong(text_, "the value of `" + name + "` is not given", "write " + form);
    if (has_value_ && (spec_.value < fault.least || spec_.value > fault.most)) {
      return wrong(text_,
                   "the value of `" + name + "` is " + std::to_string(spec_.value) + ", must be from " +
                       std::to_string(fault.least) + " to " + std::to_string(fault.most),
                   "write " + form);
    }
    if (!fault.only_phase.empty() && !spec_.phase.empty() && spec_.phase != fault.only_phase) {
      return wrong(text_, "`" + name + "` has no meaning in phase " + spec_.phase,
                   "leave the phase out, or write phase=" + std::string(fault.only_phase));
    }
    if (fault.only_phase == "checkpoint" && spec_.rank.value != 0) {
      return wrong(text_,
                   "`" + name + "` is planted for rank " + std::to_string(spec_.rank.value) +
                       ", but rank 0 writes the checkpoints",
                   "write rank=0");
    }
    return std::nullopt;
  }

  template <class Store>
  Result<Done> number(std::string_view key, std::string_view value, std::int64_t min, std::int64_t max, Store store) {
    std::int64_t n = 0;
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), n);
    if (error != std::errc() || end != value.data() + value.size() || n < min || n > max) {
      return wrong(text_,
                   "`" + std::string(key) + "` is " + std::string(value) + ", must be an integer from " +
                       std::to_string(min) + " to " + std::to_string(max),
                   "");
    }
    store(n);
    return Done{};
  }

  std::string_view text_;
  FaultSpec spec_;
  std::array<bool, keys.size()> seen_{};
  bool has_value_ = false;
};

}  // namespace

Result<FaultSpec> parse_fault(std::string_view text) { return Parser(text).parse(); }

}  // namespace ftl
