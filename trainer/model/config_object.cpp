#include "trainer/model/config_object.h"

#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace ftl {
namespace {

using nlohmann::json;

std::string shown(const json& value) {
  if (value.is_structured())
    return value.is_object() ? "an object" : "a list";  // never printed: it may be deeply nested
  return value.dump(-1, ' ', true, json::error_handler_t::replace).substr(0, 60);
}

}  // namespace

ConfigObject::ConfigObject(const json& object, std::string where, std::string inside)
    : object_(object), where_(std::move(where)), inside_(std::move(inside)) {}

const json* ConfigObject::find(const char* key) const {
  const auto found = object_.find(key);
  return found == object_.end() || found->is_null() ? nullptr : &*found;
}

bool ConfigObject::is_null(const char* key) const {
  const auto found = object_.find(key);
  return found != object_.end() && found->is_null();
}

std::int64_t ConfigObject::whole(const char* key, std::int64_t most, std::optional<std::int64_t> absent,
                                 std::int64_t least) {
  const json* value = find(key);
  if (value == nullptr && absent) return *absent;
  if (value == nullptr) {
    invalid(fmt::format("\"{}\" is missing", key));
    return least;
  }
  if (!value->is_number_integer()) {
    invalid(fmt::format("\"{}\" is {}, must be a whole number", key, shown(*value)));
    return least;
  }
  const bool too_large = value->is_number_unsigned() && value->get<std::uint64_t>() > static_cast<std::uint64_t>(most);
  if (too_large || value->get<std::int64_t>() < least) {
    invalid(fmt::format("\"{}\" is {}, must be {} to {}", key, shown(*value), least, most));
    return least;
  }
  return value->get<std::int64_t>();
}

double ConfigObject::real(const char* key, double above, double most, std::optional<double> absent) {
  const json* value = find(key);
  if (value == nullptr && absent) return *absent;
  if (value == nullptr) {
    invalid(fmt::format("\"{}\" is missing", key));
    return most;
  }
  if (!value->is_number()) {
    invalid(fmt::format("\"{}\" is {}, must be a number", key, shown(*value)));
    return most;
  }
  const double number = value->get<double>();
  if (!(number > above && number <= most)) {
    invalid(fmt::format("\"{}\" is {}, must be above {} and at most {}", key, shown(*value), above, most));
    return most;
  }
  return number;
}

bool ConfigObject::flag(const char* key, bool absent) {
  const json* value = find(key);
  if (value == nullptr) return absent;
  if (!value->is_boolean()) {
    invalid(fmt::format("\"{}\" is {}, must be true or false", key, shown(*value)));
    return absent;
  }
  return value->get<bool>();
}

std::string ConfigObject::text(const char* key, const std::string& absent) {
  const json* value = find(key);
  if (value == nullptr) return absent;
  if (!value->is_string()) {
    invalid(fmt::format("\"{}\" is {}, must be a string", key, shown(*value)));
    return absent;
  }
  return value->get<std::string>();
}

void ConfigObject::invalid(std::string what) { fail(FaultKind::model_config_invalid, std::move(what)); }
void ConfigObject::unsupported(std::string what) { fail(FaultKind::model_family_unsupported, std::move(what)); }

void ConfigObject::take(const ConfigObject& inner) {
  if (inner.failure_) fail(inner.failure_->kind, inner.failure_->what);
}

void ConfigObject::fail(FaultKind kind, std::string what) {
  if (failure_) return;
  if (!inside_.empty()) what = fmt::format("in \"{}\": {}", inside_, what);
  failure_ = Failure{kind, std::move(what), where_, ""};
}

}  // namespace ftl
