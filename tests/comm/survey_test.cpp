#include "comm/survey.h"

#include <gtest/gtest.h>

namespace ftl {
namespace {

// Names are for people: an item may speak of shared memory and not be in it.
TEST(Survey, KeepsMemoryOfTheProcessApartFromSharedMemoryWhateverItsItemsAreCalled) {
  Survey survey;
  survey.memory = {{"weights (read from shared memory)", 1000, "all"},
                   {"hot state", 30, "all", MemoryPlace::shared},
                   {"rings", 4, "all", MemoryPlace::shared},
                   {"weights", 500, "all", MemoryPlace::mapped}};
  const Result<Survey> read = survey_from_json(to_json(survey));
  ASSERT_TRUE(read) << read.error().what;
  EXPECT_EQ(memory_of_rank(*read, MemoryPlace::shared), 34);
  EXPECT_EQ(memory_of_rank(*read, MemoryPlace::process), 1000);
  EXPECT_EQ(memory_of_rank(*read, MemoryPlace::mapped), 500);
}

}  // namespace
}  // namespace ftl
