// Untrusted JSON that knows where it is. The first thing that is wrong is kept in the shared complaint with its place
// and later reads give harmless values, so a component is read straight through and judged once at the end.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "failures/result.h"

namespace ftl {

// Deeper nesting than `limit`, judged on the text before anything is built. Brackets inside strings do not count.
bool json_nests_deeper_than(std::string_view text, int limit);
// `where` names the file; the kind is the caller's (tokenizer_invalid, dataset_unreadable).
Result<nlohmann::json> parse_json(std::string_view text, FaultKind kind, const std::string& where);
// The two failures of parse_json, for others who parse.
std::optional<Failure> refuse_deep_json(std::string_view text, FaultKind kind, const std::string& where);
Failure invalid_json(std::string parser_says, FaultKind kind, const std::string& where);

std::string in_quotes(std::string_view text);  // the first 80 bytes

class JsonView {
 public:
  // `value` and `complaint` outlive the view; complaints are of kind tokenizer_invalid, "<file>: <place>" is their
  // where.
  JsonView(const nlohmann::json& value, std::string place, std::optional<Failure>& complaint)
      : value_(&value), place_(std::move(place)), complaint_(&complaint) {}

  const nlohmann::json& raw() const { return *value_; }  // to read it, include <nlohmann/json.hpp>
  bool is_null() const;
  const std::string& place() const { return place_; }
  bool failed() const { return complaint_->has_value(); }
  std::optional<Failure>& complaint() const { return *complaint_; }
  void complain(std::string what) const;
  void complain_unsupported(std::string_view component, std::string_view type) const;

  bool has(std::string_view key) const;     // there and not null
  JsonView at(std::string_view key) const;  // complains when missing or this is no object
  std::vector<JsonView> elements() const;   // complains when this is no array

  std::string text() const;
  std::string text(std::string_view key) const { return at(key).text(); }
  std::string text_or(std::string_view key, std::string_view fallback) const;
  bool flag(std::string_view key, bool fallback) const;
  std::int64_t integer(std::string_view key) const;
  std::int32_t token_id() const;  // within [0, max_token_id]

  static constexpr std::int32_t max_token_id = 10'000'000 - 1;

 private:
  const nlohmann::json* value_;
  std::string place_;
  std::optional<Failure>* complaint_;
};

}  // namespace ftl
