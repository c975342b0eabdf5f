#include "trainer/optimizer/schedule.h"

#include <gtest/gtest.h>

#include <fstream>

#include <nlohmann/json.hpp>

namespace ftl {
namespace {

TEST(Schedule, EqualsTransformersAtEveryStep) {
  std::ifstream file(std::string(FTL_SOURCE_DIR) + "/tests/golden/data/schedules.json");
  const nlohmann::json golden = nlohmann::json::parse(file);
  ASSERT_EQ(golden["schedules"].size(), 6u);
  for (const auto& expected : golden["schedules"]) {
    const Schedule schedule{*schedule_named(expected["lr_scheduler_type"]), expected["warmup_steps"],
                            golden["total_steps"]};
    for (std::size_t i = 0; i < expected["multipliers"].size(); ++i) {
      EXPECT_NEAR(learning_rate_multiplier(schedule, static_cast<std::int64_t>(i)),
                  expected["multipliers"][i].get<double>(), 1e-15)
          << expected["lr_scheduler_type"] << " " << schedule.warmup_steps << " step " << i;
    }
  }
}

TEST(Schedule, WarmupRoundsTheRatioUpAndStepsComeFirst) {
  EXPECT_EQ(warmup_of(0, 0.03, 100), 3);
  EXPECT_EQ(warmup_of(0, 0.03, 101), 4);
  EXPECT_EQ(warmup_of(0, 0.0, 101), 0);
  EXPECT_EQ(warmup_of(7, 0.03, 101), 7);
}

TEST(Schedule, IsZeroAtItsEndAndHarmlessBeyond) {
  for (const ScheduleKind kind : {ScheduleKind::linear, ScheduleKind::cosine}) {
    EXPECT_NEAR(learning_rate_multiplier({kind, 3, 20}, 20), 0.0, 1e-15);
    EXPECT_GE(learning_rate_multiplier({kind, 3, 20}, 25), 0.0);
  }
  EXPECT_EQ(learning_rate_multiplier({ScheduleKind::constant, 3, 20}, 1000), 1.0);
}

TEST(Schedule, RefusesNamesThatItDoesNotHave) {
  const auto kind = schedule_named("polynomial");
  ASSERT_FALSE(kind);
  EXPECT_EQ(kind.error().kind, FaultKind::config_invalid_value);
}

}  // namespace
}  // namespace ftl
