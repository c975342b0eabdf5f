#include <gtest/gtest.h>

#include <fstream>
#include <set>
#include <sstream>

#include "failures/explain.h"

namespace ftl {
namespace {

TEST(Taxonomy, NamesEveryKindOnceAndFindsItByName) {
  std::set<std::string_view> names;
  for (const FaultInfo& fault : fault_table) {
    EXPECT_TRUE(names.insert(fault.name).second) << fault.name;
    EXPECT_EQ(fault_kind_named(fault.name), fault.kind);
    EXPECT_EQ(info(fault.kind).name, fault.name);
    EXPECT_FALSE(fault.sentence.empty()) << fault.name;
    EXPECT_FALSE(fault.fix.empty()) << fault.name;
  }
  EXPECT_EQ(fault_kind_named("no_such_kind"), std::nullopt);
}

TEST(Taxonomy, ListsEveryCodeOnceAndEveryLeafUnderItsParent) {
  std::set<std::pair<TaxonomyTree, std::string_view>> seen;
  for (const TaxonomyNode& node : taxonomy_nodes) {
    EXPECT_TRUE(seen.emplace(node.tree, node.code).second) << node.code;
    const std::size_t dot = node.code.rfind('.');
    if (dot != std::string_view::npos) {
      EXPECT_NE(find_node(node.tree, node.code.substr(0, dot)), nullptr) << node.code << " has no parent";
    }
  }
}

TEST(Taxonomy, NeverRetriesWhatCannotSucceedAgain) {
  for (const FaultInfo& fault : fault_table) {
    if (!fault.retryable) {
      EXPECT_EQ(fault.action, RecoveryAction::stop) << fault.name;
    }
    if (fault.stage != Stage::run) {
      EXPECT_FALSE(fault.retryable) << fault.name;
    }
  }
}

TEST(Taxonomy, AdmitsAnUnknownCauseOnlyAfterTheLaunch) {
  for (const FaultInfo& fault : fault_table) {
    if (fault.root_cause == "E") {
      EXPECT_EQ(fault.stage, Stage::run) << fault.name << " is decided by a check that knows the cause";
    }
  }
}

TEST(Taxonomy, SaysForEveryKindOfARunWhatDecidesIt) {
  const std::string_view of_a_check = deciding_evidence(FaultKind::usage_error);
  for (const FaultInfo& fault : fault_table) {
    if (fault.stage == Stage::run) {
      EXPECT_NE(deciding_evidence(fault.kind), of_a_check) << fault.name;
    }
  }
}

TEST(Taxonomy, GivesEachStageItsExitCode) {
  EXPECT_EQ(exit_code(FaultKind::usage_error), 2);
  EXPECT_EQ(exit_code(FaultKind::checkpoint_incomplete), 3);
  EXPECT_EQ(exit_code(FaultKind::rank_stuck), 4);
  EXPECT_EQ(exit_code(FaultKind::internal_error), 1);
}

TEST(Taxonomy, TableInTheReadmeIsThatOfTheList) {
  std::ifstream file(FTL_SOURCE_DIR "/failures/README.md");
  std::stringstream readme;
  readme << file.rdbuf();
  EXPECT_NE(readme.str().find(taxonomy_as_markdown()), std::string::npos) << "the table should be:\n"
                                                                          << taxonomy_as_markdown();
}

}  // namespace
}  // namespace ftl
