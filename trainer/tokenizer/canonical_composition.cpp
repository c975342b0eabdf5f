#include "trainer/tokenizer/canonical_composition.h"

#include <utf8proc.h>

#include <algorithm>
#include <vector>

#include "trainer/tokenizer/utf8.h"

namespace ftl {
namespace {

constexpr auto decompose_options = static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_DECOMPOSE);
constexpr auto compose_options = static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE);

// Characters that stay as they are whatever stands around them, and that nothing behind them moves across: combining
// class 0, their own normal form, and never the second part of a composition.
class StableCharacters {
 public:
  static const StableCharacters& table() {
    static const StableCharacters stable;
    return stable;
  }
  bool holds(char32_t c) const { return c >= end || stable_[c]; }

 private:
  static constexpr char32_t end = 0x32400;  // nothing above has a class or a decomposition
  StableCharacters() : stable_(end, true) {
    for (char32_t c = 0x80; c < end; ++c) {
      const auto point = static_cast<utf8proc_int32_t>(c);
      if (utf8proc_get_property(point)->combining_class != 0) stable_[c] = false;
      utf8proc_int32_t parts[32];
      int last_class = 0;
      const auto count = utf8proc_decompose_char(point, parts, 32, decompose_options, &last_class);
      if (count < 1 || count > 32 || (count == 1 && parts[0] == point)) continue;
      const utf8proc_int32_t second = parts[count - 1];
      if (utf8proc_normalize_utf32(parts, count, compose_options) == 1 && parts[0] == point) {
        stable_[static_cast<std::size_t>(second)] = false;
      } else {
        stable_[c] = false;
      }
    }
  }
  std::vector<bool> stable_;
};

void append_composed(std::string& out, std::string_view part, std::vector<utf8proc_int32_t>& points) {
  points.resize(part.size() * 4 + 8);  // no character has a canonical decomposition of more than four
  const auto* bytes = reinterpret_cast<const utf8proc_uint8_t*>(part.data());
  auto count = utf8proc_decompose(bytes, static_cast<utf8proc_ssize_t>(part.size()), points.data(),
                                  static_cast<utf8proc_ssize_t>(points.size()), decompose_options);
  if (count < 0 || count > static_cast<utf8proc_ssize_t>(points.size())) {
    out += part;
    return;
  }
  count = utf8proc_normalize_utf32(points.data(), count, compose_options);
  for (utf8proc_ssize_t i = 0; i < count; ++i)
    append_utf8(out, static_cast<char32_t>(points[static_cast<std::size_t>(i)]));
}

}  // namespace

void compose_canonically(std::string& text, std::string& spare) {
  if (ascii_prefix(text) == text.size()) return;
  const StableCharacters& stable = StableCharacters::table();
  const std::string_view whole = text;
  std::vector<utf8proc_int32_t> points;
  std::size_t copied = 0, starter = 0;  // `starter`: where the last stable character began
  for (std::size_t at = 0; at < whole.size();) {
    const CodePoint point = first_code_point(whole.substr(at));
    if (stable.holds(point.value)) {
      starter = at;
      at += point.length;
      continue;
    }
    if (copied == 0) spare.clear();
    std::size_t end = at;
    for (CodePoint next = point; !stable.holds(next.value);) {
      end += next.length;
      if (end == whole.size()) break;
      next = first_code_point(whole.substr(end));
    }
    const std::size_t begin = std::max(starter, copied);
    spare += whole.substr(copied, begin - copied);
    append_composed(spare, whole.substr(begin, end - begin), points);
    copied = at = end;
    starter = end;
  }
  if (copied == 0) return;
  spare += whole.substr(copied);
  text.swap(spare);
}

}  // namespace ftl
