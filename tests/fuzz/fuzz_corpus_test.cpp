// Every input that a fuzzer ever found worth keeping, in every build: what was mended once stays mended.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <set>

#include "tests/checkpoints/fresh_directory.h"
#include "tests/fuzz/fuzz_target.h"

namespace ftl {
namespace {

namespace fs = std::filesystem;

const fs::path corpora = fs::path(FTL_SOURCE_DIR) / "tests/fuzz/corpus";

TEST(FuzzCorpus, EveryTargetHasOneAndEveryOneHasATarget) {
  std::set<std::string> targets, directories;
  for (const FuzzTarget* target : fuzz_targets()) targets.insert(target->name);
  for (const auto& entry : fs::directory_iterator(corpora)) directories.insert(entry.path().filename().string());
  EXPECT_EQ(targets, directories);
}

TEST(FuzzCorpus, NoInputBreaksAPromise) {
  for (const FuzzTarget* target : fuzz_targets()) {
    int accepted = 0, refused = 0;
    for (const auto& entry : fs::directory_iterator(corpora / target->name)) {
      const std::string input = get(entry.path().string());
      EXPECT_NO_THROW(++(target->run(input) ? accepted : refused)) << entry.path();
    }
    EXPECT_GT(accepted, 0) << target->name << ": what holds for accepted input was never asked; refused: " << refused;
  }
}

// The commonest damage of a file.
TEST(FuzzCorpus, NoCutInputBreaksAPromise) {
  for (const FuzzTarget* target : fuzz_targets()) {
    for (const auto& entry : fs::directory_iterator(corpora / target->name)) {
      const std::string input = get(entry.path().string());
      for (const std::size_t kept : {input.size() / 4, input.size() / 2, input.size() - input.size() / 8}) {
        EXPECT_NO_THROW(target->run(std::string_view(input).substr(0, kept))) << entry.path() << " cut to " << kept;
      }
    }
  }
}

}  // namespace
}  // namespace ftl
