// What a rank is told at its start, and a planted fault as text. Accepted: written again it is accepted and the same.
#include "comm/process_spec.h"

#include "tests/fuzz/fuzz_target.h"

namespace ftl {
namespace {

bool run(std::string_view input) {
  if (const Result<FaultSpec> fault = parse_fault(input)) {
    must(!fault->fault.empty() && fault->rank.value >= 0 && fault->step >= 1 && fault->times >= 1,
         "a fault has a name and its numbers are in range");
    must(fault->text == input, "a fault keeps its text");
  }
  const Result<ProcessSpec> spec = process_spec_from_json(std::string(input));
  if (!spec) {
    must(!spec.error().what.empty(), "a refusal says why");
    return false;
  }
  must(spec->world.value >= 1 && spec->attempt.value >= 1 && spec->micro_batch >= 1, "counts are positive");
  const std::string json = to_json(*spec);
  const Result<ProcessSpec> again = process_spec_from_json(json);
  must(again && to_json(*again) == json, "a specification that is written again is the same: " + json);
  return true;
}

const FuzzTarget target("process_spec", run);

}  // namespace
}  // namespace ftl
