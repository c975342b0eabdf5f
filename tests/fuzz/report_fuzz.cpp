// A line that a rank wrote. Accepted: encoded again it is one line, accepted, and the same report.
#include "comm/report.h"

#include "tests/fuzz/fuzz_target.h"

namespace ftl {
namespace {

bool run(std::string_view input) {
  const Result<RankReport> report = decode_report(input);
  if (!report) {
    must(!report.error().what.empty(), "a refusal says why");
    return false;
  }
  const std::string line = encode(*report);
  must(line.find('\n') == line.size() - 1, "a report is one line: " + line);
  const Result<RankReport> again = decode_report(line);
  must(again && again->index() == report->index(), "a report that is encoded again is accepted: " + line);
  must(line.size() > 3000 || encode(*again) == line, "a report that is encoded again is the same: " + line);
  return true;
}

const FuzzTarget target("report", run);

}  // namespace
}  // namespace ftl
