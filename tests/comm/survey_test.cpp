#include "comm/survey.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace ftl {
namespace {

Survey example() {
  Survey survey;
  survey.failures = {{FaultKind::config_syntax, "what", "where", "fix"}};
  survey.warnings = {"a warning"};
  survey.model = "llama";
  survey.model_parameters = 1234;
  survey.adapted_modules = {"q_proj"};
  survey.dropped = {{"too long", 3}};
  survey.memory = {{"base weights", 1 << 20, "all"}};
  survey.audit = "two\nlines";
  return survey;
}

TEST(Survey, ReadsBackWhatWasWritten) {
  const Result<Survey> read = survey_from_json(to_json(example()));
  ASSERT_TRUE(read) << read.error().what;
  EXPECT_EQ(to_json(*read), to_json(example()));
  EXPECT_EQ(read->dropped.at("too long"), 3);
  EXPECT_EQ(read->memory.at(0).bytes, 1 << 20);
}

TEST(Survey, OfGarbageIsAFailureThatNamesTheField) {
  const std::string good = to_json(example());
  const std::string deep = std::string(200'000, '[') + std::string(200'000, ']');
  struct Case {
    const char *what, *with, *names;
  };
  for (const Case& bad : {Case{"1234", "1e300", "model_parameters"}, Case{"1234", "-1", "model_parameters"},
                          Case{"1234", "18446744073709551615", "model_parameters"}, Case{"1234", "true", "model_par"},
                          Case{"\"llama\"", deep.c_str(), "model"}, Case{"\"q_proj\"", "7", "adapted_modules"},
                          Case{"1048576", "\"\"", "bytes"}, Case{"\"what\":\"what\"", "\"what\":7", "what"},
                          Case{"{\"too long\":3}", "[]", "dropped"}, Case{":3}", ":3.5}", "too long"},
                          Case{"\"process\"", "\"nowhere\"", "place"}}) {
    std::string text = good;
    text.replace(text.find(bad.what), std::string(bad.what).size(), bad.with);
    const Result<Survey> read = survey_from_json(text);
    ASSERT_FALSE(read) << bad.what;
    EXPECT_THAT(read.error().what, testing::HasSubstr(bad.names));
  }
  for (std::size_t length = 0; length < good.size(); ++length) EXPECT_FALSE(survey_from_json(good.substr(0, length)));
}

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
