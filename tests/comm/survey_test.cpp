#include "comm/survey.h"

#include <gtest/gtest.h>

namespace ftl {
namespace {

// Names are for people: an item may speak of shared memory and not be in it.
TEST(Survey, KeepsMemoryOfTheProcessApartFromSharedMemoryWhateverItsItemsAreCalled) {
  Survey survey;
  survey.memory = {{"weights (read from shared memory)", 1000, "all", false},
                   {"hot state", 30, "all", true},
                   {"rings", 4, "all", true}};
  const Result<Survey> read = survey_from_json(to_json(survey));
  ASSERT_TRUE(read) << read.error().what;
  EXPECT_EQ(memory_of_rank(*read, true), 34);
  EXPECT_EQ(memory_of_rank(*read, false), 1000);
}

}  // namespace
}  // namespace ftl
