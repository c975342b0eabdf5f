// What a survey's child process wrote (it may have died in the middle of it, or have been made to say anything by a
// hostile model). Accepted: written again it is accepted and the same.
#include "comm/survey.h"

#include "tests/fuzz/fuzz_target.h"

namespace ftl {
namespace {

bool run(std::string_view input) {
  const Result<Survey> survey = survey_from_json(std::string(input));
  if (!survey) {
    must(!survey.error().what.empty(), "a refusal says why");
    return false;
  }
  const std::string json = to_json(*survey);
  const Result<Survey> again = survey_from_json(json);
  must(again && to_json(*again) == json, "a survey that is written again is the same: " + json);
  return true;
}

const FuzzTarget target("survey", run);

}  // namespace
}  // namespace ftl
