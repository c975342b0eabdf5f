#include "configs/config_values.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>
#include <limits>

#include <fmt/format.h>

namespace ftl {
namespace {

// "q_proj,v_proj" is a list; a comma in anything but plain names belongs to a regular expression.
std::vector<std::string> names_between_commas(const std::string& text) {
  const bool plain = std::ranges::all_of(text, [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '.' || c == ',' || c == ' ';
  });
  if (!plain || text.find(',') == std::string::npos) return {text};
  std::vector<std::string> names(1);
  for (const char c : text) {
    if (c == ',')
      names.emplace_back();
    else if (c != ' ')
      names.back() += c;
  }
  return names;
}

class Assignment {
 public:
  Assignment(const Demand& demand, const ConfigNode& node) : demand_(demand), node_(node) {}

  std::optional<Failure> operator()(bool* into) const {
    const std::optional<bool> value = truth_of(node_);
    if (!value) return wrong("true or false is wanted");
    *into = *value;
    return std::nullopt;
  }
  std::optional<Failure> operator()(int* into) const { return integer(into); }
  std::optional<Failure> operator()(std::int64_t* into) const { return integer(into); }
  std::optional<Failure> operator()(std::uint64_t* into) const { return integer(into); }
  std::optional<Failure> operator()(double* into) const {
    const char* const begin = node_.text.data();
    const char* const end = begin + node_.text.size();
    double value = 0;
    const auto [stop, error] = std::from_chars(begin, end, value);
    if (is_plain() && stop == end && error == std::errc::result_out_of_range)
      return wrong("the number does not fit into 64 bits");
    if (!is_plain() || stop != end || error != std::errc() || !std::isfinite(value))
      return wrong("a finite number is wanted");
    return in_range(value, into);
  }
  std::optional<Failure> operator()(std::string* into) const {
    if (node_.shape != ConfigNode::Shape::scalar) return wrong("a text is wanted");
    if (demand_.choices->empty()) {
      *into = node_.text;
      return std::nullopt;
    }
    return choose([&](const Choice& choice) { *into = choice.canonical.empty() ? choice.text : choice.canonical; });
  }
  std::optional<Failure> operator()(DatasetType* into) const {
    return choose([&](const Choice& choice) { *into = static_cast<DatasetType>(&choice - demand_.choices->data()); });
  }
  std::optional<Failure> operator()(std::vector<std::string>* into) const {
    std::vector<std::string> names;
    if (node_.shape == ConfigNode::Shape::scalar)
      names = node_.text == "all-linear" ? std::vector<std::string>{"all"} : names_between_commas(node_.text);
    else if (node_.shape != ConfigNode::Shape::list)
      return wrong("a text or a list of texts is wanted");
    for (const ConfigNode& child : node_.children) {
      if (child.shape != ConfigNode::Shape::scalar) return Assignment(demand_, child).wrong("a text is wanted");
      names.push_back(child.text);
    }
    if (names.empty()) return wrong("at least one name is wanted");
    for (const std::string& name : names) {
      if (name.empty()) return wrong("a name is empty");
    }
    *into = std::move(names);
    return std::nullopt;
  }
  std::optional<Failure> operator()(std::vector<DatasetConfig>*) const {
    return wrong("a list of data sets is wanted");
  }

 private:
  bool is_plain() const { return node_.shape == ConfigNode::Shape::scalar && !node_.quoted; }

  Failure wrong(const std::string& wanted) const {
    return {FaultKind::config_invalid_value, fmt::format("{} is {}: {}", demand_.name, shown(node_), wanted),
            node_.where, ""};
  }

  template <class Number>
  std::optional<Failure> integer(Number* into) const {
    if (!demand_.word_for_zero.empty() && node_.text == demand_.word_for_zero) {
      *into = 0;
      return std::nullopt;
    }
    const char* const begin = node_.text.data();
    const char* const end = begin + node_.text.size();
    Number value = 0;
    const auto [stop, error] = std::from_chars(begin, end, value);
    if (is_plain() && stop == end && error == std::errc::result_out_of_range) {
      return wrong(fmt::format("the number must lie between {} and {}", std::numeric_limits<Number>::min(),
                               std::numeric_limits<Number>::max()));
    }
    if (!is_plain() || stop != end || error != std::errc()) {
      return wrong(demand_.word_for_zero.empty() ? "an integer is wanted"
                                                 : fmt::format("an integer or {} is wanted", demand_.word_for_zero));
    }
    return in_range(value, into);
  }

  template <class Number>
  std::optional<Failure> in_range(Number value, Number* into) const {
    const auto number = static_cast<double>(value);
    if (demand_.above_least ? number <= demand_.least : number < demand_.least) {
      return wrong(fmt::format("it must be {} {}", demand_.above_least ? "above" : "at least", demand_.least));
    }
    if (number > demand_.most) return wrong(fmt::format("it must be at most {}", demand_.most));
    *into = value;
    return std::nullopt;
  }

  template <class Take>
  std::optional<Failure> choose(Take take) const {
    for (const Choice& choice : *demand_.choices) {
      if (node_.shape == ConfigNode::Shape::scalar && node_.text == choice.text) {
        if (choice.later) {
          return Failure{FaultKind::not_in_this_version,
                         fmt::format("{}: {} is not in this version", demand_.name, node_.text), node_.where,
                         fmt::format("use {}", first_choices())};
        }
        take(choice);
        return std::nullopt;
      }
    }
    return wrong(first_choices() + " is wanted");
  }

  std::string first_choices() const {
    std::string names;
    for (const Choice& choice : *demand_.choices) {
      if (!choice.later && choice.canonical.empty()) names += (names.empty() ? "" : " or ") + std::string(choice.text);
    }
    return names;
  }

  const Demand& demand_;
  const ConfigNode& node_;
};

}  // namespace

std::optional<Failure> assign(const Demand& demand, Place place, const ConfigNode& node) {
  return std::visit(Assignment(demand, node), place);
}

std::optional<bool> truth_of(const ConfigNode& node) {
  if (node.shape != ConfigNode::Shape::scalar || node.quoted) return std::nullopt;
  if (node.text == "true" || node.text == "True" || node.text == "TRUE") return true;
  if (node.text == "false" || node.text == "False" || node.text == "FALSE") return false;
  return std::nullopt;
}

std::optional<Failure> assign_key(const Key& key, const std::string& name, RunConfig& config, const ConfigNode& node) {
  const Place place = key.place(&config);
  if (key.name == "resume_from_checkpoint") {
    if (const std::optional<bool> wanted = truth_of(node)) {
      config.resume = std::string(*wanted ? "auto" : "never");
      return std::nullopt;
    }
  }
  if (std::optional<Failure> failure = assign(demand_of(key), place, node)) return failure;
  RunConfig defaults;
  const auto same = [usual = key.place(&defaults)](auto* value) {
    return *value == **std::get_if<decltype(value)>(&usual);
  };
  if (!key.only_default || std::visit(same, place)) return std::nullopt;
  return Failure{FaultKind::not_in_this_version, fmt::format("{}: {} is not in this version", key.name, shown(node)),
                 node.where, fmt::format("remove {}", name)};
}

std::string_view name_of(DatasetType type) {
  for (const Key& key : dataset_keys()) {
    if (key.name == "type") return key.choices[static_cast<std::size_t>(type)].text;
  }
  return "?";
}

}  // namespace ftl
