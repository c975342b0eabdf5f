#include "trainer/tokenizer/json_view.h"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace ftl {
namespace {

const nlohmann::json& null_json() {
  static const nlohmann::json null;
  return null;
}

}  // namespace

bool json_nests_deeper_than(std::string_view text, int limit) {
  int depth = 0;
  bool in_string = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '[' || c == '{') {
      if (++depth > limit) return true;
    } else if (c == ']' || c == '}') {
      --depth;
    }
  }
  return false;
}

std::optional<Failure> refuse_deep_json(std::string_view text, FaultKind kind, const std::string& where) {
  constexpr int depth_limit = 64;
  if (!json_nests_deeper_than(text, depth_limit)) return std::nullopt;
  return Failure{kind, "the JSON nests deeper than " + std::to_string(depth_limit) + " levels", where, ""};
}

Failure invalid_json(std::string parser_says, FaultKind kind, const std::string& where) {
  // The library's text may quote raw bytes of the file; keep it printable.
  std::replace_if(
      parser_says.begin(), parser_says.end(), [](unsigned char c) { return c < 0x20 || c > 0x7E; }, '?');
  return Failure{kind, "not valid JSON: " + parser_says.substr(0, 300), where, ""};
}

Result<nlohmann::json> parse_json(std::string_view text, FaultKind kind, const std::string& where) {
  if (auto refused = refuse_deep_json(text, kind, where)) return *refused;
  try {
    return nlohmann::json::parse(text);
  } catch (const nlohmann::json::exception& error) {
    return invalid_json(error.what(), kind, where);
  }
}

std::string in_quotes(std::string_view text) {
  std::string out(1, '"');
  out += text.substr(0, 80);
  out += '"';
  return out;
}

void JsonView::complain(std::string what) const {
  if (!*complaint_) *complaint_ = Failure{FaultKind::tokenizer_invalid, std::move(what), place_, ""};
}

void JsonView::complain_unsupported(std::string_view component, std::string_view type) const {
  if (*complaint_) return;
  *complaint_ =
      Failure{FaultKind::tokenizer_invalid,
              std::string(component) + " type " + std::string(type.substr(0, 80)) + " is not supported in this version",
              place_, ""};
}

bool JsonView::is_null() const { return value_->is_null(); }

bool JsonView::has(std::string_view key) const {
  if (!value_->is_object()) return false;
  const auto found = value_->find(key);
  return found != value_->end() && !found->is_null();
}

JsonView JsonView::at(std::string_view key) const {
  JsonView view(null_json(), place_ + "." + std::string(key), *complaint_);
  if (!value_->is_object()) {
    complain("expected an object, found " + std::string(value_->type_name()));
  } else if (const auto found = value_->find(key); found == value_->end()) {
    complain(in_quotes(key) + " is missing");
  } else {
    view.value_ = &*found;
  }
  return view;
}

std::vector<JsonView> JsonView::elements() const {
  std::vector<JsonView> views;
  if (!value_->is_array()) {
    complain("expected a list, found " + std::string(value_->type_name()));
    return views;
  }
  views.reserve(value_->size());
  for (std::size_t i = 0; i < value_->size(); ++i) {
    views.emplace_back((*value_)[i], place_ + "[" + std::to_string(i) + "]", *complaint_);
  }
  return views;
}

std::string JsonView::text() const {
  if (value_->is_string()) return value_->get<std::string>();
  complain("expected a string, found " + std::string(value_->type_name()));
  return {};
}

std::string JsonView::text_or(std::string_view key, std::string_view fallback) const {
  return has(key) ? text(key) : std::string(fallback);
}

bool JsonView::flag(std::string_view key, bool fallback) const {
  if (!has(key)) return fallback;
  const JsonView view = at(key);
  if (view.raw().is_boolean()) return view.raw().get<bool>();
  view.complain("expected true or false, found " + std::string(view.raw().type_name()));
  return fallback;
}

std::int64_t JsonView::integer(std::string_view key) const {
  const JsonView view = at(key);
  if (view.raw().is_number_integer()) return view.raw().get<std::int64_t>();
  view.complain("expected an integer, found " + std::string(view.raw().type_name()));
  return 0;
}

std::int32_t JsonView::token_id() const {
  if (!value_->is_number_integer()) {
    complain("expected a token id, found " + std::string(value_->type_name()));
    return 0;
  }
  const bool too_large = value_->is_number_unsigned() && value_->get<std::uint64_t>() > max_token_id;
  if (too_large || value_->get<std::int64_t>() < 0) {
    complain("token id " + value_->dump() + " is outside 0.." + std::to_string(max_token_id));
    return 0;
  }
  return static_cast<std::int32_t>(value_->get<std::int64_t>());
}

}  // namespace ftl
