// Text of a foreign file inside a message: one line, printable, not endless.
#pragma once

#include <string>
#include <string_view>

namespace ftl {

inline std::string printable(std::string_view text) {
  std::string out;
  for (const char c : text.substr(0, 100)) out += (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) ? '?' : c;
  return text.size() > 100 ? out + "..." : out;
}

}  // namespace ftl
