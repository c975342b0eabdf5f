#include "launcher/keeper/line_splitter.h"

#include <algorithm>
#include <utility>

namespace ftl {

std::vector<LineSplitter::Line> LineSplitter::feed(std::string_view bytes) {
  std::vector<Line> lines;
  while (!bytes.empty()) {
    const std::size_t end = std::min(bytes.find('\n'), bytes.size());
    const std::size_t room = limit_ - line_.text.size();
    line_.text.append(bytes.substr(0, std::min(end, room)));
    line_.cut = line_.cut || end > room;
    if (end == bytes.size()) break;
    lines.push_back(std::exchange(line_, Line{}));
    bytes.remove_prefix(end + 1);
  }
  return lines;
}

std::vector<LineSplitter::Line> LineSplitter::finish() {
  if (line_.text.empty()) return {};
  return {std::exchange(line_, Line{})};
}

}  // namespace ftl
