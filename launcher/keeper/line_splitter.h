// Cuts a stream of bytes into lines without ever holding more than one line's limit.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace ftl {

class LineSplitter {
 public:
  explicit LineSplitter(std::size_t limit) : limit_(limit) {}
  struct Line {
    std::string text;
    bool cut = false;
  };                                               // cut: the rest of an overlong line was thrown away
  std::vector<Line> feed(std::string_view bytes);  // the lines that end within these bytes
  std::vector<Line> finish();                      // the last line, when it has no newline

 private:
  std::size_t limit_;
  Line line_;
};

}  // namespace ftl
