// ftlaunch import-config: what it writes is accepted by `ftlaunch check`, what is missing ends it with 2, and no file
// that is there is written over.
#include "tests/multiprocess/launched_run.h"
#include "tests/multiprocess/tiny_inputs.h"

namespace ftl {
namespace {

std::string in_manner_of_axolotl(const std::string& model) {
  return "base_model: " + model + "\ndatasets:\n  - path: " + tiny_inputs().data.string() +
         "\n    type: completion\nadapter: lora\nlora_r: 4\nlora_alpha: 8\nlora_dropout: 0.05\nsequence_len: 64\n"
         "micro_batch_size: 1\ngradient_accumulation_steps: 4\nlearning_rate: 0.001\noutput_dir: imported\n";
}

TEST(ImportConfig, WritesWhatCheckAccepts) {
  RunSite site;
  const auto original = site.directory() / "axolotl.yaml", written = site.directory() / "imported.yaml";
  write_text(original, in_manner_of_axolotl(tiny_inputs().model.string()));
  const CommandResult result = site.verb({"import-config", original.string(), "--out", written.string()});
  EXPECT_EQ(result.exit_code, 0) << ::testing::PrintToString(result);
  EXPECT_NE(read_text(written).find("lora_rank: 4"), std::string::npos);
  const CommandResult check = site.verb({"check", "--config", written.string()});
  EXPECT_EQ(check.exit_code, 0) << ::testing::PrintToString(check);
  EXPECT_EQ(check.out.find("is read as"), std::string::npos);
}

TEST(ImportConfig, AccountsInJson) {
  RunSite site;
  const auto original = site.directory() / "axolotl.yaml";
  write_text(original, in_manner_of_axolotl("m"));
  const CommandResult result = site.verb({"import-config", original.string(), "--json"});
  ASSERT_EQ(result.exit_code, 0) << ::testing::PrintToString(result);
  const Json account = Json::parse(result.out);
  EXPECT_EQ(account.at("schema"), "ftlaunch.import/1");
  EXPECT_EQ(account.at("tool"), "axolotl");
  EXPECT_EQ(account.at("keys").size(), 12U);
  EXPECT_TRUE(account.at("complete").get<bool>());
}

TEST(ImportConfig, EndsWithTwoAndAListWhenSomethingIsMissing) {
  RunSite site;
  const auto original = site.directory() / "part.yaml", written = site.directory() / "part.ftlaunch.yaml";
  write_text(original, "lora_r: 4\nmicro_batch_size: 1\n");
  const CommandResult result = site.verb({"import-config", original.string(), "--out", written.string()});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_NE(result.err.find("missing: the base model"), std::string::npos) << result.err;
  EXPECT_NE(result.err.find("missing: the data"), std::string::npos) << result.err;
  EXPECT_NE(read_text(written).find("MISSING"), std::string::npos);
}

TEST(ImportConfig, WritesOverNoFile) {
  RunSite site;
  const auto original = site.directory() / "axolotl.yaml";
  write_text(original, in_manner_of_axolotl("m"));
  const std::string before = read_text(original);
  const CommandResult result = site.verb({"import-config", original.string(), "--out", original.string()});
  EXPECT_EQ(result.exit_code, 2) << ::testing::PrintToString(result);
  EXPECT_EQ(read_text(original), before);
  EXPECT_EQ(site.verb({"import-config", original.string(), "--from", "nobody"}).exit_code, 2);
  EXPECT_EQ(site.verb({"import-config", (site.directory() / "none.yaml").string()}).exit_code, 2);
}

}  // namespace
}  // namespace ftl
