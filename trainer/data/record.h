// One line of a data set: JSON to segments of text, each supervised or not. No token is made here.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "configs/run_config.h"
#include "failures/result.h"

namespace ftl {

struct TextSegment {
  std::string text;
  bool supervised = false;
};

struct Record {
  std::vector<TextSegment> segments;
  bool end_supervised = true;  // EOS follows and is a target; false: the segments say themselves how they end
  bool may_be_cut = false;     // completion: cut at cutoff_len; else an example that is too long is dropped
};

struct Line {
  std::string_view text;    // without its end
  std::int64_t number = 0;  // 1-based
};
constexpr std::size_t max_line_bytes = 16u << 20;

// Lines that hold something, in order, at most `limit` of them (0: all). A byte order mark, CRLF and blank lines are
// tolerated.
std::vector<Line> split_lines(std::string_view text, std::int64_t limit);

// dataset_unreadable without a place: the caller knows file and line. An empty answer or text gives no segments.
Result<Record> read_record(std::string_view line, const DatasetConfig& dataset);

}  // namespace ftl
