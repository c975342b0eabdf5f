// A text that remembers where its bytes come from. Loss masks need to know which bytes of a rendered chat a message
// put there, and a template moves texts about freely (sets them aside, strips, splits, joins, returns them from
// macros), so each text carries runs of bytes with their source, and operations keep them
// (docs/decisions/006-role-spans.md).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace ftl::chat {

struct Source {
  std::int32_t message = -1;     // index into `messages`; -1: none
  bool own = false;              // the bytes come out of the message itself, not out of the template's text around it
  std::int32_t generation = -1;  // number of the {% generation %} block that made them; -1: none
  bool operator==(const Source&) const = default;
};

// Bytes [begin, end) of a text. Empty runs are kept: they mark where an empty content stands.
struct Run {
  std::size_t begin, end;
  Source source;
  bool operator==(const Run&) const = default;
};

class Text {
 public:
  Text() = default;
  explicit Text(std::string bytes) : bytes_(std::move(bytes)) {}
  Text(std::string bytes, Source source);  // all of it from `source`

  const std::string& bytes() const { return bytes_; }
  std::string_view view() const { return bytes_; }
  std::size_t size() const { return bytes_.size(); }
  bool empty() const { return bytes_.empty(); }
  const std::vector<Run>& runs() const { return runs_; }  // in order, disjoint; bytes in no run have no source

  // What `more` does not say of its bytes, `around` says.
  void append(const Text& more, Source around = {});
  void append(std::string_view bytes, Source around = {});
  Text slice(std::size_t begin, std::size_t end) const;  // bytes
  // For operations that make other bytes out of a text (upper, tojson): from the same message, if it is only one.
  Text remade(std::string bytes) const;

 private:
  void add(Run run);
  std::string bytes_;
  std::vector<Run> runs_;
};

// Unicode code points, which is what Python's indices count.
std::size_t code_points(std::string_view text);
// The byte at which code point `index` begins; the size of the text from its length on.
std::size_t byte_of_code_point(std::string_view text, std::size_t index);

}  // namespace ftl::chat
