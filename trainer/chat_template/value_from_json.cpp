// JSON to values. Strings of a message remember it.
#include <limits>
#include <nlohmann/json.hpp>

#include "trainer/chat_template/template_error.h"
#include "trainer/chat_template/value.h"

namespace ftl::chat {
namespace {

using Json = nlohmann::ordered_json;

Value converted(const Json& json, Source source) {
  switch (json.type()) {
    case Json::value_t::null: return None{};
    case Json::value_t::boolean: return json.get<bool>();
    case Json::value_t::number_integer: return json.get<std::int64_t>();
    case Json::value_t::number_unsigned:
      if (json.get<std::uint64_t>() > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
        throw TemplateError("the number " + json.dump() + " does not fit 64 bits");
      }
      return json.get<std::int64_t>();
    case Json::value_t::number_float: return json.get<double>();
    case Json::value_t::string: return Text(json.get<std::string>(), source);
    case Json::value_t::array: {
      Sequence list;
      list.items.reserve(json.size());
      for (const Json& item : json) list.items.push_back(converted(item, source));
      return list;
    }
    case Json::value_t::object: {
      Dict dict;
      for (const auto& [key, item] : json.items()) dict.set(key, converted(item, source));
      return dict;
    }
    default: throw TemplateError("a value that is not JSON");
  }
}

}  // namespace

Value from_json(const Json& json) { return converted(json, {}); }

Value message_from_json(const Json& json, std::int32_t message) {
  if (!json.is_object()) return from_json(json);
  const Source own{.message = message, .own = true, .generation = -1};
  Dict dict;
  dict.message = message;
  for (const auto& [key, item] : json.items()) {
    const bool says_who = key == "role" || key == "name";
    dict.set(key, converted(item, says_who ? Source{} : own));
  }
  return dict;
}

}  // namespace ftl::chat
