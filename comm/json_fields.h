// Reads typed, bounded fields out of a JSON object that is not trusted. The first problem is kept and the rest is read
// on, so a caller lists its fields and asks once at the end whether all of them were good. Fields nobody asks for are
// ignored.
#pragma once

#include <nlohmann/json.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "failures/failure.h"

namespace ftl {

class JsonFields {
 public:
  // `object` must outlive this. `of`: what is being read, for messages.
  JsonFields(const nlohmann::json& object, std::string of);
  // Parses text of at most `limit` bytes into an object; anything else is a problem.
  static nlohmann::json parse(std::string_view text, std::size_t limit);

  std::int64_t integer(const char* name, std::int64_t min, std::int64_t max);
  template <class Number>
  Number integer_as(const char* name, std::int64_t min, std::int64_t max) {
    return static_cast<Number>(integer(name, min, max));
  }
  double number(const char* name);  // "nan", "inf" and "-inf" are written as strings
  bool boolean(const char* name);
  std::string text(const char* name, std::size_t limit);
  const nlohmann::json* array(const char* name, std::size_t limit);  // null if it is none

  const std::optional<std::string>& problem() const { return problem_; }
  void refuse(const std::string& what);

 private:
  const nlohmann::json* find(const char* name);
  const nlohmann::json& object_;
  std::string of_;
  std::optional<std::string> problem_;
};

// Finite numbers as they are; JSON has no others, so those become strings.
nlohmann::json json_number(double value);
// At most `limit` bytes of `text`: what is cut off is said.
std::string shortened(const std::string& text, std::size_t limit);
// One line; bytes that are not UTF-8 become U+FFFD.
std::string one_line(const nlohmann::json& json);

}  // namespace ftl
