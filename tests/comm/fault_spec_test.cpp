#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "comm/process_spec.h"

namespace ftl {
namespace {

TEST(ParseFault, ReadsTheExampleOfTheContract) {
  const Result<FaultSpec> fault = parse_fault("fault=sigkill,rank=1,step=5,phase=backward,attempt=2,times=3");
  ASSERT_TRUE(fault) << describe(fault.error());
  EXPECT_EQ(fault->fault, "sigkill");
  EXPECT_EQ(fault->rank, Rank{1});
  EXPECT_EQ(fault->step, 5);
  EXPECT_EQ(fault->phase, "backward");
  EXPECT_EQ(fault->attempt, 2);
  EXPECT_EQ(fault->times, 3);
  EXPECT_EQ(fault->text, "fault=sigkill,rank=1,step=5,phase=backward,attempt=2,times=3");
}

TEST(ParseFault, TakesTheExitCodeInBothSpellings) {
  for (const char* text : {"fault=exit=7,rank=1", "rank=1,fault=exit,value=7", "value=7,fault=exit"}) {
    const Result<FaultSpec> fault = parse_fault(text);
    ASSERT_TRUE(fault) << text << describe(fault.error());
    EXPECT_EQ(fault->fault, "exit");
    EXPECT_EQ(fault->value, 7);
  }
}

TEST(ParseFault, HasDefaultsForAllButTheFault) {
  const Result<FaultSpec> fault = parse_fault("fault=nan_loss");
  ASSERT_TRUE(fault);
  EXPECT_EQ(fault->rank, Rank{0});
  EXPECT_EQ(fault->step, 1);
  EXPECT_EQ(fault->attempt, 0);
  EXPECT_EQ(fault->times, 1);
  EXPECT_TRUE(fault->phase.empty());
}

struct Refused {
  const char* text;
  FaultKind kind;
  const char* names;
};
class ParseFaultRefuses : public testing::TestWithParam<Refused> {};

TEST_P(ParseFaultRefuses, AndNamesTheChoices) {
  const Result<FaultSpec> fault = parse_fault(GetParam().text);
  ASSERT_FALSE(fault) << GetParam().text;
  EXPECT_EQ(fault.error().kind, GetParam().kind);
  EXPECT_THAT(fault.error().what + "\n" + fault.error().fix, testing::HasSubstr(GetParam().names));
}

INSTANTIATE_TEST_SUITE_P(
    Table, ParseFaultRefuses,
    testing::Values(Refused{"", FaultKind::usage_error, "keys: fault, rank"},
                    Refused{"fault", FaultKind::usage_error, "no value"},
                    Refused{"fault=", FaultKind::usage_error, "no value"},
                    Refused{"rank=1", FaultKind::usage_error, "sigkill, oom, segv, exit"},
                    Refused{"fault=gremlin", FaultKind::usage_error, "mismatch_collective, slow, nan_loss"},
                    Refused{"fault=drop_connection=1", FaultKind::usage_error, "takes no value"},
                    Refused{"fault=slow", FaultKind::usage_error, "fault=slow=MS"},
                    Refused{"fault=slow=0", FaultKind::usage_error, "1 to 600000"},
                    Refused{"fault=comm_error", FaultKind::usage_error, "fault=comm_error=CODE"},
                    Refused{"fault=torn_checkpoint,rank=1", FaultKind::usage_error, "rank 0 writes"},
                    Refused{"fault=disk_full,phase=reduce", FaultKind::usage_error, "phase=checkpoint"},
                    Refused{"fault=sigkill,ranks=1", FaultKind::usage_error, "unknown key `ranks`"},
                    Refused{"fault=sigkill,phase=lunch", FaultKind::usage_error, "init, data, forward"},
                    Refused{"fault=sigkill,rank=-1", FaultKind::usage_error, "from 0"},
                    Refused{"fault=sigkill,rank=1x", FaultKind::usage_error, "`rank` is 1x"},
                    Refused{"fault=sigkill,step=0", FaultKind::usage_error, "from 1"},
                    Refused{"fault=sigkill,step=99999999999999999999", FaultKind::usage_error, "`step`"},
                    Refused{"fault=sigkill,times=0", FaultKind::usage_error, "`times`"},
                    Refused{"fault=sigkill,rank=1,rank=2", FaultKind::usage_error, "twice"},
                    Refused{"fault=sigkill=9", FaultKind::usage_error, "takes no value"},
                    Refused{"fault=exit", FaultKind::usage_error, "fault=exit=N"},
                    Refused{"fault=exit=256", FaultKind::usage_error, "255"},
                    Refused{"fault=exit=7,value=8", FaultKind::usage_error, "twice"}));

TEST(FaultSpec, RefusesAPhaseInWhichTheFaultHasNoMeaningAndNamesTheLegalOne) {
  for (const auto& [fault, phase, legal] : {std::tuple("nan_loss", "forward", "backward"),
                                            {"nan_grad", "reduce", "backward"},
                                            {"skip_collective", "data", "reduce"},
                                            {"mismatch_collective", "optimizer", "reduce"}}) {
    const std::string text = std::string("phase=") + phase + ",step=3,rank=0,fault=" + fault;
    const Result<FaultSpec> refused = parse_fault(text);
    ASSERT_FALSE(refused) << text;
    EXPECT_NE(refused.error().fix.find(std::string("phase=") + legal), std::string::npos) << refused.error().fix;
    EXPECT_TRUE(parse_fault(std::string("fault=") + fault + ",rank=0,step=3,phase=" + legal));
  }
}

}  // namespace
}  // namespace ftl
