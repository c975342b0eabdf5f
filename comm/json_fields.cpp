#include "comm/json_fields.h"

#include <cmath>
#include <limits>

namespace ftl {

namespace {

// What stands there, for a message. Writing a nested value would recurse as deep as a stranger has nested it.
std::string seen(const nlohmann::json& field) {
  return field.is_primitive() ? shortened(one_line(field), 40) : std::string("an ") + field.type_name();
}

}  // namespace

JsonFields::JsonFields(const nlohmann::json& object, std::string of) : object_(object), of_(std::move(of)) {
  if (!object_.is_object()) refuse("it is not a JSON object of the allowed size");
}

nlohmann::json JsonFields::parse(std::string_view text, std::size_t limit) {
  if (text.size() > limit) return nullptr;
  nlohmann::json json = nlohmann::json::parse(text.begin(), text.end(), nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return nullptr;
  return json;
}

void JsonFields::refuse(const std::string& what) {
  if (!problem_) problem_ = of_ + ": " + what;
}

const nlohmann::json* JsonFields::find(const char* name) {
  if (!object_.is_object()) return nullptr;
  const auto found = object_.find(name);
  if (found == object_.end()) {
    refuse(std::string("the field `") + name + "` is missing");
    return nullptr;
  }
  return &*found;
}

std::int64_t JsonFields::integer(const char* name, std::int64_t min, std::int64_t max) {
  const nlohmann::json* field = find(name);
  if (field == nullptr) return min;
  const auto out_of_range = [&] {
    refuse(std::string("`") + name + "` is " + seen(*field) + ", must be an integer from " + std::to_string(min) +
           " to " + std::to_string(max));
    return min;
  };
  if (const auto* natural = field->get_ptr<const nlohmann::json::number_unsigned_t*>()) {
    if (*natural > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) return out_of_range();
  }
  if (!field->is_number_integer()) return out_of_range();
  const auto value = field->get<std::int64_t>();
  return value < min || value > max ? out_of_range() : value;
}

double JsonFields::number(const char* name) {
  const nlohmann::json* field = find(name);
  if (field == nullptr) return 0;
  if (field->is_number()) return field->get<double>();
  if (*field == "nan") return std::numeric_limits<double>::quiet_NaN();
  if (*field == "inf") return std::numeric_limits<double>::infinity();
  if (*field == "-inf") return -std::numeric_limits<double>::infinity();
  refuse(std::string("`") + name + "` is " + seen(*field) + ", must be a number");
  return 0;
}

bool JsonFields::boolean(const char* name) {
  const nlohmann::json* field = find(name);
  if (field == nullptr) return false;
  if (!field->is_boolean()) {
    refuse(std::string("`") + name + "` is " + seen(*field) + ", must be true or false");
    return false;
  }
  return field->get<bool>();
}

std::string JsonFields::text(const char* name, std::size_t limit) {
  const nlohmann::json* field = find(name);
  if (field == nullptr) return {};
  const auto* value = field->get_ptr<const std::string*>();
  if (value == nullptr || value->size() > limit) {
    refuse(std::string("`") + name + "` must be a string of at most " + std::to_string(limit) + " bytes");
    return {};
  }
  return *value;
}

const nlohmann::json* JsonFields::array(const char* name, std::size_t limit) {
  const nlohmann::json* field = find(name);
  if (field == nullptr) return nullptr;
  if (!field->is_array() || field->size() > limit) {
    refuse(std::string("`") + name + "` must be a list of at most " + std::to_string(limit) + " entries");
    return nullptr;
  }
  return field;
}

nlohmann::json json_number(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  return value;
}

std::string shortened(const std::string& text, std::size_t limit) {
  if (text.size() <= limit) return text;
  return text.substr(0, limit) + " ... (" + std::to_string(text.size() - limit) + " bytes more)";
}

std::string one_line(const nlohmann::json& json) {
  return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace ftl
