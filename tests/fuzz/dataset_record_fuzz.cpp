// Lines of a data set, read as each of its types. Accepted: segments of text, none empty, that came from the line.
#include "tests/fuzz/fuzz_target.h"
#include "trainer/data/record.h"
#include "trainer/tokenizer/utf8.h"

namespace ftl {
namespace {

bool run(std::string_view input) {
  std::int64_t number = 0;
  bool accepted = false;
  for (const Line& line : split_lines(input, 20)) {
    must(line.number > number && line.text.find('\n') == std::string_view::npos, "lines come in order, without ends");
    number = line.number;
    for (const DatasetType type : {DatasetType::completion, DatasetType::alpaca, DatasetType::input_output}) {
      DatasetConfig dataset;
      dataset.type = type;
      const Result<Record> record = read_record(line.text, dataset);
      if (!record) {
        must(record.error().kind == FaultKind::dataset_unreadable && !record.error().what.empty(),
             "a refusal says why");
        continue;
      }
      accepted = true;
      for (const TextSegment& segment : record->segments)
        must(!segment.text.empty() && is_valid_utf8(segment.text), "segments are texts");
    }
  }
  return accepted;
}

const FuzzTarget target("dataset_record", run);

}  // namespace
}  // namespace ftl
