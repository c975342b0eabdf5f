#include "configs/foreign_keys.h"

#include <algorithm>

namespace ftl {
namespace {

constexpr unsigned bit(Tool tool) { return 1u << static_cast<unsigned>(tool); }

// The table's words.
constexpr unsigned AX = bit(Tool::axolotl), LF = bit(Tool::llamafactory), TT = bit(Tool::torchtune),
                   TRL = bit(Tool::trl), MLX = bit(Tool::mlx), PEFT = bit(Tool::peft), OWN = 0;

struct ToolNames {
  std::string_view option, name;
};
constexpr std::array<ToolNames, 6> tool_names = {{{"axolotl", "Axolotl"},
                                                  {"llamafactory", "LLaMA-Factory"},
                                                  {"torchtune", "torchtune"},
                                                  {"trl", "TRL"},
                                                  {"mlx", "MLX"},
                                                  {"peft", "PEFT"}}};

bool stands_for(std::string_view pattern, std::string_view name) {
  const std::size_t star = pattern.find('*');
  if (star == std::string_view::npos) return pattern == name;
  const std::string_view front = pattern.substr(0, star), back = pattern.substr(star + 1);
  return name.size() >= front.size() + back.size() && name.starts_with(front) && name.ends_with(back);
}

template <class Wanted>
const ForeignKey* first(std::string_view name, Wanted wanted) {
  const ForeignKey* starred = nullptr;
  for (const ForeignKey& key : foreign_keys()) {
    if (!wanted(key)) continue;
    if (key.name == name) return &key;
    if (starred == nullptr && stands_for(key.name, name)) starred = &key;
  }
  return starred;
}

}  // namespace

std::string_view option_name_of(Tool tool) { return tool_names[static_cast<std::size_t>(tool)].option; }
std::string_view name_of(Tool tool) { return tool_names[static_cast<std::size_t>(tool)].name; }
std::optional<Tool> tool_named(std::string_view option_name) {
  for (const Tool tool : tools_with_files) {
    if (option_name_of(tool) == option_name) return tool;
  }
  return std::nullopt;
}

const std::vector<ForeignKey>& foreign_keys() {
  static const std::vector<ForeignKey> keys = {
#define FOREIGN_KEY(tools, name, meaning, key, say) {tools, name, ForeignMeaning::meaning, key, say},
#include "configs/foreign_keys.def"
#undef FOREIGN_KEY
  };
  return keys;
}

const ForeignKey* foreign_key(std::string_view name) {
  return first(name, [](const ForeignKey&) { return true; });
}

const ForeignKey* foreign_key(std::string_view name, Tool tool) {
  return first(name, [tool](const ForeignKey& key) { return key.is_of(tool) || key.is_of(Tool::peft); });
}

bool is_foreign_section(std::string_view name) {
  bool has_starred = false, has_line = false;
  for (const ForeignKey& key : foreign_keys()) {
    has_line = has_line || key.name == name;
    if (key.name.size() <= name.size() || !key.name.starts_with(name) || key.name[name.size()] != '.') continue;
    if (key.name.find('*') == std::string_view::npos) return true;
    has_starred = true;
  }
  return has_starred && !has_line;
}

std::string tools_of(const ForeignKey& key) {
  std::vector<std::string_view> names;
  for (std::size_t i = 0; i < tool_names.size(); ++i) {
    if (key.is_of(static_cast<Tool>(i))) names.push_back(tool_names[i].name);
  }
  std::string text;
  for (std::size_t i = 0; i < names.size(); ++i)
    text += std::string(i == 0 ? "" : i + 1 == names.size() ? " and " : ", ") + std::string(names[i]);
  return text;
}

const std::vector<ForeignDefault>& foreign_defaults() {
  static const std::vector<ForeignDefault> defaults = {
#define FOREIGN_DEFAULT(tool, key, value) {Tool::tool, key, value},
#include "configs/foreign_defaults.def"
#undef FOREIGN_DEFAULT
  };
  return defaults;
}

}  // namespace ftl
