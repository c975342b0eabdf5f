// ftlaunch inspect: every format by name, damage as an error with the contract's exit code; and the filter `logits`,
// which reads the same model in every layout.
#include <fstream>

#include "tests/multiprocess/launched_run.h"
#include "tests/multiprocess/tiny_inputs.h"

namespace ftl {
namespace {

namespace fs = std::filesystem;

const fs::path golden = fs::path(FTL_SOURCE_DIR) / "tests/golden/data";

Json inspected(RunSite& site, const fs::path& path) {
  const CommandResult result = site.verb({"inspect", path.string(), "--json"});
  EXPECT_EQ(result.exit_code, 0) << path << testing::PrintToString(result);
  const Json json = Json::parse(result.out, nullptr, false);
  EXPECT_TRUE(json.is_object()) << result.out;
  return json;
}

TEST(Inspect, NamesEveryFormat) {
  RunSite site;
  const struct {
    fs::path path;
    const char *format, *dtype;
    int files, model_parallel;
  } cases[] = {{golden / "meta/hf_f32", "hugging_face_safetensors", "f32", 1, 1},
               {golden / "meta/hf_sharded", "hugging_face_safetensors_sharded", "bf16", 3, 1},
               {golden / "meta/mp1", "meta_pth", "bf16", 1, 1},
               {golden / "meta/mp2_columns", "meta_pth", "f16", 2, 2},
               {golden / "meta/mp2_rows", "meta_pth", "f32", 2, 2}};
  for (const auto& one : cases) {
    const Json json = inspected(site, one.path);
    EXPECT_EQ(json["format"], one.format);
    EXPECT_EQ(json["family"], "llama, 2 layers, width 24, 4/2 heads, vocabulary 48") << one.path;
    EXPECT_EQ(json["parameters"], 18552) << one.path;
    EXPECT_EQ(json["tensors"], 21) << one.path;
    EXPECT_EQ(json["dtypes"].size(), 1u);
    EXPECT_EQ(json["dtypes"][one.dtype]["parameters"], 18552) << one.path;
    EXPECT_EQ(json["files"].size(), static_cast<std::size_t>(one.files));
    EXPECT_EQ(json["model_parallel"], one.model_parallel);
    EXPECT_TRUE(json["notes"].empty()) << json["notes"];
  }
  EXPECT_EQ(inspected(site, golden / "mha_tied/adapter")["format"], "peft_adapter");
  EXPECT_EQ(inspected(site, golden / "meta/hf_f32/model.safetensors")["format"], "safetensors");
  EXPECT_EQ(inspected(site, golden / "meta/mp1/consolidated.00.pth")["format"], "torch");
  std::ofstream(site.directory() / "model.gguf") << "GGUF\x03";
  EXPECT_EQ(inspected(site, site.directory() / "model.gguf")["format"], "gguf");
}

TEST(Inspect, NotesATotalSizeThatIsNotSo) {
  RunSite site;
  const fs::path copy = site.directory() / "sharded";
  fs::copy(golden / "meta/hf_sharded", copy);
  std::string index = read_text(copy / "model.safetensors.index.json");
  const std::string right = "\"total_size\": 37104";
  ASSERT_NE(index.find(right), std::string::npos);
  write_text(copy / "model.safetensors.index.json",
             index.replace(index.find(right), right.size(), "\"total_size\": 9"));
  const Json notes = inspected(site, copy)["notes"];
  ASSERT_EQ(notes.size(), 1u);
  EXPECT_NE(notes[0].get<std::string>().find("37104"), std::string::npos) << notes;
}

TEST(Inspect, RefusesWhatIsDamagedOrExecutes) {
  RunSite site;
  write_text(site.directory() / "half.pth", read_text(golden / "meta/mp1/consolidated.00.pth").substr(0, 20000));
  const CommandResult half = site.verb({"inspect", (site.directory() / "half.pth").string()});
  EXPECT_EQ(half.exit_code, 3) << testing::PrintToString(half);
  EXPECT_NE(half.err.find("truncated"), std::string::npos) << half.err;
  const CommandResult absent = site.verb({"inspect", "/nonexistent"});
  EXPECT_EQ(absent.exit_code, 2) << testing::PrintToString(absent);
}

TEST(Logits, AreTheSameFromEveryLayout) {
  RunSite site;
  std::string ids;
  std::ifstream file(golden / "meta/golden.json");
  for (const Json& item : Json::parse(file)) ids += Json{{"ids", item["ids"]}}.dump() + "\n";
  write_text(site.directory() / "ids.jsonl", ids);
  std::string expected;
  for (const char* layout : {"hf_f32", "hf_sharded", "mp1", "mp2_columns", "mp2_rows"}) {
    const fs::path out = site.directory() / layout;
    const std::string line = "'" FTL_BINARY_DIR "/bin/ftlaunch' logits --model '" +
                             (golden / "meta" / layout).string() + "' < '" + (site.directory() / "ids.jsonl").string() +
                             "' > '" + out.string() + "'";
    ASSERT_EQ(std::system(line.c_str()), 0) << line;
    if (expected.empty()) expected = read_text(out);
    EXPECT_EQ(read_text(out), expected) << layout;
    EXPECT_NE(expected.find("logits"), std::string::npos);
    EXPECT_EQ(expected.find("error"), std::string::npos);
  }
}

}  // namespace
}  // namespace ftl
