#include "trainer/chat_template/template_files.h"

#include <fmt/format.h>
#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <optional>

#include "trainer/tokenizer/json_view.h"

namespace ftl {
namespace {

constexpr std::size_t config_limit = 16u << 20;

struct Found {
  std::string text, where;
};

// "bos_token": "<s>", or {"content": "<s>", ...}.
std::optional<std::string> token_text(const JsonView& config, std::string_view key) {
  if (!config.has(key)) return std::nullopt;
  const JsonView value = config.at(key);
  if (value.raw().is_object()) return value.text("content");
  return value.raw().is_string() ? std::optional(value.text()) : std::nullopt;
}

std::vector<std::pair<std::string, std::string>> special_tokens(const JsonView& config) {
  constexpr std::array names = {"bos_token", "eos_token", "unk_token", "sep_token",
                                "pad_token", "cls_token", "mask_token"};
  std::vector<std::pair<std::string, std::string>> tokens;
  for (const char* name : names) {
    if (const auto text = token_text(config, name)) tokens.emplace_back(name, *text);
  }
  if (!config.raw().is_object()) return tokens;
  // Models of images and sound name more of them.
  for (const auto& [name, value] : config.raw().items()) {
    if (!name.ends_with("_token") || std::ranges::find(names, name) != names.end()) continue;
    if (const auto text = token_text(config, name)) tokens.emplace_back(name, *text);
  }
  return tokens;
}

std::optional<Found> in_config(const JsonView& config, const std::string& name) {
  if (!config.has("chat_template")) return std::nullopt;
  const JsonView entry = config.at("chat_template");
  if (!entry.raw().is_array()) return Found{entry.text(), entry.place()};
  std::string known;
  for (const JsonView& one : entry.elements()) {
    const std::string own = one.text("name");
    if (own == name) return Found{one.text("template"), one.place() + ".template"};
    known += (known.empty() ? "" : ", ") + in_quotes(own);
  }
  entry.complain("there is no chat template named " + in_quotes(name) + ", only " + known);
  return std::nullopt;
}

}  // namespace

Result<ChatTemplate> load_chat_template(Files& files, const std::string& directory, const std::string& name) {
  const std::string config_path = directory + "/tokenizer_config.json", file_path = directory + "/chat_template.jinja";
  const bool has_file = files.exists(file_path);
  nlohmann::json json = nlohmann::json::object();
  if (files.exists(config_path) || !has_file) {
    const Result<std::string> text = files.read(config_path, config_limit);
    if (!text) return text.error();
    Result<nlohmann::json> parsed = parse_json(*text, FaultKind::tokenizer_invalid, config_path);
    if (!parsed) return parsed.error();
    json = std::move(*parsed);
  }
  std::optional<Failure> complaint;
  const JsonView config(json, config_path + ": $", complaint);
  std::optional<Found> found;
  if (has_file && name == "default") {
    Result<std::string> text = files.read(file_path, chat::Limits{}.template_bytes);
    if (!text) return text.error();
    found = Found{std::move(*text), file_path};
  } else {
    found = in_config(config, name);
  }
  const auto tokens = special_tokens(config);
  if (complaint) return *complaint;
  if (!found) {
    return Failure{FaultKind::tokenizer_invalid, "the tokenizer has no chat template", config_path,
                   "use the tokenizer of an instruction-tuned model, or put the template into chat_template.jinja"};
  }
  Result<ChatTemplate> made = ChatTemplate::parse(found->text, found->where);
  if (made) made->set_special_tokens(tokens);
  return made;
}

}  // namespace ftl
