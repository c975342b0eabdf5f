// The keys of other fine-tuning tools, as foreign_keys.def has them: which are other names for ours, which mean
// something that this version does another way or not at all.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace ftl {

// Whose configuration a key is of. PEFT's names occur in configurations of all the others; it has no files of its own.
enum class Tool : std::uint8_t { axolotl, llamafactory, torchtune, trl, mlx, peft };
inline constexpr std::array tools_with_files = {Tool::axolotl, Tool::llamafactory, Tool::torchtune, Tool::trl,
                                                Tool::mlx};
std::string_view option_name_of(Tool tool);  // "llamafactory": the value of --from
std::string_view name_of(Tool tool);         // "LLaMA-Factory"
std::optional<Tool> tool_named(std::string_view option_name);

enum class ForeignMeaning : std::uint8_t { same, inverse, sets, steps, instead, later, needless };

struct ForeignKey {
  unsigned tools;         // bits 1 << Tool; 0: ftlaunch's own
  std::string_view name;  // dotted; at most one *, which stands for any text
  ForeignMeaning meaning;
  std::string_view key;  // the key of ftlaunch; empty: none
  std::string_view say;  // `sets`: the value that is asked for; else a half-sentence for the user, or nothing
  bool is_of(Tool tool) const { return (tools >> static_cast<unsigned>(tool) & 1u) != 0; }
  // Whether the name is another way to set `key`.
  bool names_a_key() const { return meaning <= ForeignMeaning::steps; }
};

const std::vector<ForeignKey>& foreign_keys();
// The line for a name; exact ones before those with a star. Without a tool the first line of any; null: not known.
const ForeignKey* foreign_key(std::string_view name);
const ForeignKey* foreign_key(std::string_view name, Tool tool);
// Whether a mapping under `name` is read key by key: keys below it are known. One that has a line of its own, and below
// it only lines with a star, is judged as a whole.
bool is_foreign_section(std::string_view name);

// "Axolotl", "Axolotl and TRL", "Axolotl, LLaMA-Factory and TRL"; empty for ftlaunch's own.
std::string tools_of(const ForeignKey& key);

// What a tool takes where its file is silent and ftlaunch would take something else (foreign_defaults.def).
struct ForeignDefault {
  Tool tool;
  std::string_view key;    // of ftlaunch
  std::string_view value;  // YAML
};
const std::vector<ForeignDefault>& foreign_defaults();

}  // namespace ftl
