#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "failures/explain.h"

namespace ftl {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(Explain, SaysAllThatIsKnownOfAKind) {
  const Explanation text = explain("rank_killed_by_oom_killer");
  EXPECT_TRUE(text.known);
  for (const char* part :
       {"S:A.5.2  Runtime Crash > Memory Issue > RAM OOM",
        "R:A.2.2  Environment and Infrastructure Fault > Insufficient Hardware Resource > CPU Memory",
        "oom_kill counter", "exit code 4", "retryable:  yes", "retry_with_smaller_micro_batch", "lower per_device"}) {
    EXPECT_THAT(text.text, HasSubstr(part));
  }
}

TEST(Explain, NamesRelatedKinds) {
  EXPECT_THAT(explain("rank_stuck").text, HasSubstr("related:    collective_mismatch"));
}

TEST(Explain, ListsLeavesAndKindsUnderACode) {
  const Explanation text = explain("R:A.3");
  EXPECT_TRUE(text.known);
  EXPECT_THAT(text.text, HasSubstr("Distributed Computing Issue"));
  EXPECT_THAT(text.text, HasSubstr("R:A.3.2  Multi-GPU Communication Failure"));
  EXPECT_THAT(text.text, HasSubstr("collective_mismatch:"));
  EXPECT_THAT(text.text, Not(HasSubstr("usage_error")));
}

TEST(Explain, TellsACodeFromOneThatStartsLikeIt) {
  EXPECT_THAT(explain("S:A.1").text, Not(HasSubstr("rank_killed")));  // A.1 is not A.11
}

TEST(Explain, LooksABareCodeUpInBothTrees) {
  const Explanation text = explain("B.2");
  EXPECT_THAT(text.text, HasSubstr("S:B.2: Process Hang > Fine-tuning Process Stuck"));
  EXPECT_THAT(text.text, HasSubstr("R:B.2: User Configuration and Usage Fault > Improper API Usage"));
}

TEST(Explain, OffersTheNearestWordsForAnUnknownOne) {
  const Explanation text = explain("rank_stock");
  EXPECT_FALSE(text.known);
  EXPECT_THAT(text.text, HasSubstr("nearest: rank_stuck"));
  EXPECT_THAT(explain("S:B.3").text, HasSubstr("S:B.2"));
  EXPECT_FALSE(explain("").known);
  EXPECT_FALSE(explain(std::string(1 << 20, 'x')).known);
}

TEST(Explain, KnowsEveryKindAndEveryCode) {
  for (const FaultInfo& fault : fault_table) EXPECT_TRUE(explain(fault.name).known) << fault.name;
  for (const TaxonomyNode& node : taxonomy_nodes) EXPECT_TRUE(explain(node.code).known) << node.code;
}

}  // namespace
}  // namespace ftl
