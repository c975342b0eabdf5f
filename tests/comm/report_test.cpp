#include "comm/report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace ftl {
namespace {

std::vector<RankReport> one_of_each() {
  return {ReportStarted{4711, "OpenBLAS avx2", "Open MPI 4.1.4", 100, 5, 1234, 56789},
          ReportStep{6, 2.5000000000000004, 1e-300, 3e-4, 4096, 0.125},
          ReportEvaluation{6, 1.25, 77, 2},
          ReportCheckpoint{6, "/runs/a b/\"step\"-6\n", 0.5},
          ReportFaultFired{"fault=sigkill,rank=1", 6},
          ReportFailure{{FaultKind::loss_not_finite, "the loss is \xff nan", "rank 1", ""}, 6},
          ReportFinished{100, true}};
}

TEST(RankReport, ReadsBackWhatWasWrittenAndIsOneLine) {
  for (const RankReport& report : one_of_each()) {
    const std::string line = encode(report);
    EXPECT_EQ(line.find('\n'), line.size() - 1);
    const Result<RankReport> read = decode_report(line);
    ASSERT_TRUE(read) << line << describe(read.error());
    EXPECT_EQ(read->index(), report.index());
    EXPECT_EQ(encode(*read), line);
  }
  const RankReport step = *decode_report(encode(one_of_each()[1]));
  EXPECT_EQ(std::get<ReportStep>(step).loss, 2.5000000000000004);
}

TEST(RankReport, CarriesNumbersThatAreNotFinite) {
  const double infinite = std::numeric_limits<double>::infinity();
  const Result<RankReport> read = decode_report(encode(ReportStep{1, std::nan(""), -infinite, infinite, 1, 1}));
  ASSERT_TRUE(read);
  const ReportStep& step = std::get<ReportStep>(*read);
  EXPECT_TRUE(std::isnan(step.loss));
  EXPECT_EQ(step.grad_norm, -infinite);
  EXPECT_EQ(step.learning_rate, infinite);
}

TEST(RankReport, FitsALineHoweverLongItsTextsAre) {
  const std::string nasty(1 << 20, '\x01');
  const std::string line = encode(ReportFailure{{FaultKind::internal_error, nasty, nasty, nasty}, 1});
  const Result<RankReport> read = decode_report(line);
  ASSERT_TRUE(read) << line.size();
  EXPECT_THAT(std::get<ReportFailure>(*read).failure.what, testing::HasSubstr("bytes more"));
}

TEST(RankReport, OfGarbageIsAFailure) {
  const std::string good = encode(one_of_each()[1]);
  for (std::size_t length = 0; length + 1 < good.size(); ++length) ASSERT_FALSE(decode_report(good.substr(0, length)));
  for (const char* line :
       {"", "hello", "[]", "null", "{}", "{\"report\":\"dance\"}", "{\"report\":7}",
        "{\"report\":\"finished\",\"step\":1}", "{\"report\":\"finished\",\"step\":1,\"stopped\":1}",
        "{\"report\":\"finished\",\"step\":-1,\"stopped\":true}",
        "{\"report\":\"failure\",\"kind\":\"gremlin\",\"what\":\"\",\"where\":\"\",\"fix\":\"\",\"step\":1}",
        "{\"report\":\"evaluation\",\"step\":1,\"eval_loss\":\"much\",\"tokens\":1,\"seconds\":1}"}) {
    EXPECT_FALSE(decode_report(line)) << line;
  }
  EXPECT_FALSE(decode_report(std::string(65 * 1024, ' ') + good)) << "longer than 64 KiB";
  EXPECT_FALSE(decode_report("{\"report\":" + std::string(30000, '[') + std::string(30000, ']') + "}"));
}

}  // namespace
}  // namespace ftl
