#include "failures/verdict.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace ftl {
namespace {

using ::testing::HasSubstr;

Verdict a_mismatch() {
  Verdict verdict;
  verdict.kind = FaultKind::collective_mismatch;
  verdict.confidence = 0.97;
  verdict.culprits = {{2, "local-1", 4711}};
  verdict.victims = {0, 1, 3};
  verdict.step = 118;
  verdict.attempt = 1;
  verdict.detected_after_s = 2.1;
  verdict.evidence = {{"flight/rank-2", "rank 2 called something else"}};
  verdict.rejected = {{FaultKind::rank_stuck, "rank 2 goes on"}};
  return verdict;
}

TEST(Verdict, HasTheFieldsOfItsSchema) {
  const auto json = nlohmann::json::parse(to_json(a_mismatch()));
  EXPECT_EQ(json, nlohmann::json::parse(R"({
    "schema": "ftlaunch.verdict/1", "kind": "collective_mismatch", "symptom": "B.2", "root_cause": "A.3.3", "confidence": 0.97,
    "culprits": [{"rank": 2, "node": "local-1", "pid": 4711}], "victims": [0, 1, 3], "step": 118, "attempt": 1,
    "detected_after_s": 2.1, "evidence": [{"source": "flight/rank-2", "fact": "rank 2 called something else"}],
    "rejected": [{"kind": "rank_stuck", "why": "rank 2 goes on"}], "retryable": false, "action": "stop",
    "fix": "all ranks must run the same program on the same configuration; see the signatures in the evidence", "time": ""})"));
}

TEST(Verdict, ShowsItsOwnFixWhenItHasOne) {
  Verdict verdict = a_mismatch();
  verdict.fix = "upgrade rank 2";
  EXPECT_EQ(nlohmann::json::parse(to_json(verdict))["fix"], "upgrade rank 2");
  EXPECT_THAT(describe(verdict), HasSubstr("upgrade rank 2"));
}

TEST(Verdict, SurvivesLogLinesThatAreNotText) {
  Verdict verdict = a_mismatch();
  verdict.evidence = {{"log/rank-2", std::string("\xff\xfe\0 garbage", 11)}};
  EXPECT_EQ(nlohmann::json::parse(to_json(verdict))["evidence"].size(), 1u);
}

TEST(Verdict, TellsATerminalWhoWhenWhyAndWhatNow) {
  const std::string text = describe(a_mismatch());
  for (const char* part : {"collective_mismatch: ranks called different collectives", "rank 2 on local-1 (pid 4711)",
                           "after step 118 of attempt 1", "detected after 2.10 s",
                           "rank 2 called something else [flight/rank-2]", "action:   stop", "S:B.2 R:A.3.3"}) {
    EXPECT_THAT(text, HasSubstr(part));
  }
}

TEST(Verdict, UsesTheContractsWordsForActions) {
  EXPECT_EQ(name_of(RecoveryAction::retry), "retry");
  EXPECT_EQ(name_of(RecoveryAction::retry_smaller_micro_batch), "retry_with_smaller_micro_batch");
  EXPECT_EQ(name_of(RecoveryAction::stop), "stop");
}

}  // namespace
}  // namespace ftl
