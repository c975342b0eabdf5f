// Reads keys of one JSON object of a config.json and remembers the first thing that was wrong. A key that is null is a
// key that is not there, but for who asks.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include <nlohmann/json_fwd.hpp>

#include "failures/failure.h"

namespace ftl {

class ConfigObject {
 public:
  // `object` must outlive this. `where` is the file, `inside` the key that holds the object; "": the whole file.
  ConfigObject(const nlohmann::json& object, std::string where, std::string inside = "");

  const std::optional<Failure>& failure() const { return failure_; }
  const std::string& where() const { return where_; }
  const nlohmann::json* find(const char* key) const;
  bool is_null(const char* key) const;  // there, and null

  // What the key holds, or `absent`. Wrong types and values out of range are remembered.
  std::int64_t whole(const char* key, std::int64_t most, std::optional<std::int64_t> absent = std::nullopt,
                     std::int64_t least = 1);
  double real(const char* key, double above, double most, std::optional<double> absent = std::nullopt);
  bool flag(const char* key, bool absent);
  std::string text(const char* key, const std::string& absent);

  void invalid(std::string what);
  void unsupported(std::string what);
  // What was wrong in an object inside this one.
  void take(const ConfigObject& inner);

 private:
  void fail(FaultKind kind, std::string what);

  const nlohmann::json& object_;
  std::string where_, inside_;
  std::optional<Failure> failure_;
};

}  // namespace ftl
