// Why a template cannot be read or rendered. Thrown inside this folder only: ChatTemplate catches it and returns a
// Failure.
#pragma once

#include <cstdint>
#include <exception>
#include <optional>
#include <string>
#include <utility>

namespace ftl::chat {

struct Place {  // both from 1; the column counts bytes
  std::uint32_t line = 1, column = 1;
};

class TemplateError final : public std::exception {
 public:
  explicit TemplateError(std::string text, std::optional<Place> place = std::nullopt)
      : text_(std::move(text)), place_(place) {}
  const char* what() const noexcept override { return text_.c_str(); }
  // Of the source; unknown to operations on values, whose place the evaluator knows.
  std::optional<Place> place() const { return place_; }

 private:
  std::string text_;
  std::optional<Place> place_;
};

}  // namespace ftl::chat
