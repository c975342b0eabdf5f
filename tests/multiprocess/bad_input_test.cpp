// Bad input: one clear error, the contract's exit code, and nothing half-written.
#include <sys/stat.h>

#include <cstring>
#include <functional>

#include "tests/multiprocess/launched_run.h"
#include "tests/multiprocess/tiny_inputs.h"

namespace ftl {
namespace {

namespace fs = std::filesystem;

// What a case may damage: the configuration, and a copy of model and data of its own.
struct Ground {
  RunSite& site;
  fs::path model;
  fs::path data;
  std::vector<std::string> arguments;

  void use_data(const std::string& text, const std::string& type) {
    write_text(data, text);
    site.configure("datasets", "[{path: " + data.string() + ", type: " + type + "}]");
  }
  fs::path weights() const { return model / "model.safetensors"; }
};

struct Case {
  const char* name;
  int exit_code;
  const char* kind;
  std::vector<std::string> words;  // that the error must say
  std::function<void(Ground&)> damage;
};

void PrintTo(const Case& one, std::ostream* stream) { *stream << one.name; }

// The JSON header of a safetensors file, changed by text, with the length word made to fit again.
void edit_header(const fs::path& file, const std::function<void(std::string&)>& edit) {
  std::string bytes = read_text(file);
  std::uint64_t length = 0;
  std::memcpy(&length, bytes.data(), sizeof length);
  std::string header = bytes.substr(8, length);
  edit(header);
  const std::uint64_t edited = header.size();
  std::string start(8, '\0');
  std::memcpy(start.data(), &edited, sizeof edited);
  write_text(file, start + header + bytes.substr(8 + length));
}

void edit_tensor(const fs::path& file, const std::string& name, const std::function<void(Json&)>& edit) {
  edit_header(file, [&](std::string& header) {
    Json json = Json::parse(header);
    edit(json[name]);
    header = json.dump();
  });
}

void write_length_word(const fs::path& file, std::uint64_t length) {
  std::string bytes = read_text(file);
  std::memcpy(bytes.data(), &length, sizeof length);
  write_text(file, bytes);
}

std::string alias_bomb() {
  std::string text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 10; ++i) {
    const std::string below = "*a" + std::to_string(i - 1);
    text += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [" + below;
    for (int j = 0; j < 9; ++j) text += ", " + below;
    text += "]\n";
  }
  return text;
}

std::string binary_garbage() {
  std::string bytes =
      "\x7f"
      "ELF";
  for (int i = 0; i < 4096; ++i) bytes += static_cast<char>((i * 131 + 7) & 0xff);
  return bytes;
}

const std::string norm = "model.norm.weight";

std::vector<Case> configuration_cases() {
  return {
      {"unknown_key",
       2,
       "config_unknown_key",
       {"learning_rat", "learning_rate", "config.yaml:"},
       [](Ground& g) { g.site.configure("learning_rat", "0.1"); }},
      {"unknown_key_by_set",
       2,
       "config_unknown_key",
       {"lora_rnk", "lora_rank"},
       [](Ground& g) {
         g.arguments = {"--set", "lora_rnk=4"};
       }},
      {"wrong_type",
       2,
       "config_invalid_value",
       {"lora_rank", "many", "config.yaml:"},
       [](Ground& g) { g.site.configure("lora_rank", "many"); }},
      {"out_of_range",
       2,
       "config_invalid_value",
       {"global_batch_size", "-3"},
       [](Ground& g) { g.site.configure("global_batch_size", "-3"); }},
      {"missing_configuration", 2, "file_not_found", {"config.yaml"}, [](Ground& g) { fs::remove(g.site.config()); }},
      {"pipe_as_configuration",
       2,
       "file_not_found",
       {"config.yaml is a named pipe"},
       [](Ground& g) {
         fs::remove(g.site.config());
         ASSERT_EQ(::mkfifo(g.site.config().c_str(), 0600), 0);
       }},
      {"pipe_as_data",
       2,
       "file_not_found",
       {"data.jsonl is a named pipe"},
       [](Ground& g) {
         g.use_data("", "completion");
         fs::remove(g.data);
         ASSERT_EQ(::mkfifo(g.data.c_str(), 0600), 0);
       }},
      {"directory_as_data",
       2,
       "file_not_found",
       {"is a directory; a file is needed"},
       [](Ground& g) { g.site.configure("datasets", "[{path: " + g.model.string() + ", type: completion}]"); }},
      {"file_as_model",
       2,
       "file_not_found",
       {"is a file; a directory is needed"},
       [](Ground& g) { g.site.configure("model_name_or_path", g.weights().string()); }},
      {"pipe_as_weights",
       2,
       "file_not_found",
       {"model.safetensors", "not a regular file"},
       [](Ground& g) {
         fs::remove(g.weights());
         ASSERT_EQ(::mkfifo(g.weights().c_str(), 0600), 0);
       }},
      {"output_below_a_file",
       2,
       "usage_error",
       {"config.yaml is no directory", "--output-dir"},
       [](Ground& g) { g.site.configure("output_dir", (g.site.config() / "out").string()); }},
      {"output_where_nobody_may_write",
       2,
       "usage_error",
       {"/proc", "cannot be written", "--output-dir"},
       [](Ground& g) { g.site.configure("output_dir", "/proc/out"); }},
      {"missing_model",
       2,
       "file_not_found",
       {"no-such-model"},
       [](Ground& g) { g.site.configure("model_name_or_path", "no-such-model"); }},
      {"missing_data",
       2,
       "file_not_found",
       {"no-such.jsonl"},
       [](Ground& g) { g.site.configure("datasets", "[{path: no-such.jsonl, type: completion}]"); }},
      {"ranks_against_parallel",
       2,
       "parallel_world_mismatch",
       {"3", "2", "parallel"},
       [](Ground& g) {
         g.site.configure("parallel", "{dp: 3}");
         g.arguments = {"--nodes", "2"};
       }},
      {"alias_bomb", 2, "config_syntax", {"config.yaml"}, [](Ground& g) { write_text(g.site.config(), alias_bomb()); }},
      {"binary_file_as_configuration",
       2,
       "config_syntax",
       {"config.yaml"},
       [](Ground& g) { write_text(g.site.config(), binary_garbage()); }},
      {"deeply_nested_configuration",
       2,
       "config_syntax",
       {"config.yaml"},
       [](Ground& g) { write_text(g.site.config(), "seed: " + std::string(100'000, '[')); }},
      {"unknown_fault",
       2,
       "usage_error",
       {"explode"},
       [](Ground& g) {
         g.arguments = {"--inject", "fault=explode,rank=0,step=1"};
       }},
      {"fault_of_a_rank_that_is_not_there",
       2,
       "usage_error",
       {"7"},
       [](Ground& g) {
         g.arguments = {"--inject", "fault=sigkill,rank=7,step=1"};
       }},
      {"hostfile_of_a_later_version",
       2,
       "not_in_this_version",
       {"--hostfile"},
       [](Ground& g) {
         g.arguments = {"--hostfile", "hosts"};
       }},
  };
}

std::vector<Case> data_and_model_cases() {
  return {
      {"empty_data", 3, "dataset_empty", {"data.jsonl"}, [](Ground& g) { g.use_data("", "completion"); }},
      {"garbage_data",
       3,
       "dataset_unreadable",
       {"data.jsonl:2"},
       [](Ground& g) { g.use_data("{\"text\": \"fine\"}\n{\"text\": \n", "completion"); }},
      {"all_labels_masked",
       3,
       "all_labels_masked",
       {"data.jsonl"},
       [](Ground& g) {
         g.use_data("{\"segments\": [{\"text\": \"nothing here is to be learned\", \"label\": false}]}\n",
                    "input_output");
       }},
      {"adapter_target_without_match",
       3,
       "adapter_target_unmatched",
       {"no_such_proj", "q_proj"},
       [](Ground& g) { g.site.configure("lora_target", "[no_such_proj]"); }},
      {"more_ranks_than_sequences",
       3,
       "batch_not_divisible",
       {"13", "12"},
       [](Ground& g) {
         g.arguments = {"--nodes", "13"};
       }},
      {"garbage_model_configuration",
       3,
       "model_config_invalid",
       {"config.json"},
       [](Ground& g) { write_text(g.model / "config.json", "{\"hidden_size\": "); }},
      {"garbage_tokenizer",
       3,
       "tokenizer_invalid",
       {"tokenizer.json"},
       [](Ground& g) { write_text(g.model / "tokenizer.json", "]["); }},
      {"missing_tokenizer",
       2,
       "file_not_found",
       {"tokenizer.json"},
       [](Ground& g) { fs::remove(g.model / "tokenizer.json"); }},
  };
}

std::vector<Case> weights_cases() {
  const std::vector<std::string> file = {"model.safetensors"};
  return {
      {"truncated_weights", 3, "safetensors_corrupt", file,
       [](Ground& g) { fs::resize_file(g.weights(), fs::file_size(g.weights()) - 100); }},
      {"weights_cut_within_the_header", 3, "safetensors_corrupt", file,
       [](Ground& g) { fs::resize_file(g.weights(), 64); }},
      {"empty_weights", 3, "safetensors_corrupt", file, [](Ground& g) { write_text(g.weights(), ""); }},
      {"huge_header_length", 3, "safetensors_corrupt", file,
       [](Ground& g) { write_length_word(g.weights(), 0xffff'ffff'ffff'ffffULL); }},
      {"header_length_beyond_the_file", 3, "safetensors_corrupt", file,
       [](Ground& g) { write_length_word(g.weights(), fs::file_size(g.weights())); }},
      {"garbage_header", 3, "safetensors_corrupt", file,
       [](Ground& g) {
         edit_header(g.weights(), [](std::string& header) { header.replace(0, 8, "\xff\xfe}}[[::", 8); });
       }},
      {"offset_beyond_the_file", 3, "safetensors_corrupt", file,
       [](Ground& g) {
         edit_tensor(g.weights(), norm, [](Json& tensor) { tensor["data_offsets"] = {1'000'000'000, 1'000'000'064}; });
       }},
      {"offsets_in_reverse", 3, "safetensors_corrupt", file,
       [](Ground& g) {
         edit_tensor(g.weights(), norm,
                     [](Json& tensor) { std::swap(tensor["data_offsets"][0], tensor["data_offsets"][1]); });
       }},
      {"overlapping_tensors", 3, "safetensors_corrupt", file,
       [](Ground& g) { edit_tensor(g.weights(), norm, [](Json& tensor) {
                         tensor["data_offsets"] = {0, 64};
                       }); }},
      {"unknown_dtype", 3, "safetensors_corrupt", file,
       [](Ground& g) { edit_tensor(g.weights(), norm, [](Json& t) { t["dtype"] = "Q17"; }); }},
      {"dtype_that_does_not_fit_the_bytes", 3, "safetensors_corrupt", file,
       [](Ground& g) { edit_tensor(g.weights(), norm, [](Json& t) { t["dtype"] = "F32"; }); }},
      {"shape_that_overflows", 3, "safetensors_corrupt", file,
       [](Ground& g) { edit_tensor(g.weights(), norm, [](Json& t) {
                         t["shape"] = {1ULL << 62, 8};
                       }); }},
      {"weights_of_another_shape",
       3,
       "checkpoint_incomplete",
       {norm, "model.safetensors"},
       [](Ground& g) { edit_tensor(g.weights(), norm, [](Json& t) {
                         t["shape"] = {16, 2};
                       }); }},
  };
}

class BadInput : public ::testing::TestWithParam<Case> {
 protected:
  BadInput() : ground_{site_, site_.directory() / "model", site_.directory() / "data.jsonl", {}} {
    write_tiny_model(ground_.model);
    write_tiny_data(ground_.data);
    site_.configure("model_name_or_path", ground_.model.string());
  }
  RunSite site_;
  Ground ground_;
};

int errors_in(const std::string& text) {
  int count = 0;
  for (std::size_t at = 0; (at = text.find("error:", at)) != std::string::npos; at += 6) {
    if (at == 0 || text[at - 1] == '\n') ++count;
  }
  return count;
}

TEST_P(BadInput, IsOneClearErrorAndNothingIsWritten) {
  GetParam().damage(ground_);
  const CommandResult result = site_.run(ground_.arguments);
  EXPECT_EQ(result.signal, 0);
  EXPECT_EQ(result.exit_code, GetParam().exit_code) << ::testing::PrintToString(result);
  EXPECT_EQ(errors_in(result.err), 1) << result.err;
  EXPECT_NE(result.err.find(GetParam().kind), std::string::npos) << "no " << GetParam().kind << " in\n" << result.err;
  for (const std::string& word : GetParam().words)
    EXPECT_NE(result.err.find(word), std::string::npos) << "no " << word << " in\n" << result.err;
  EXPECT_FALSE(fs::exists(site_.output())) << "the output directory was created";
  EXPECT_TRUE(site_.left_in_state_directory().empty());
  EXPECT_TRUE(site_.processes().empty()) << describe(site_.processes());
}

const auto name_of_case = [](const ::testing::TestParamInfo<Case>& info) { return std::string(info.param.name); };
INSTANTIATE_TEST_SUITE_P(Configuration, BadInput, ::testing::ValuesIn(configuration_cases()), name_of_case);
INSTANTIATE_TEST_SUITE_P(DataAndModel, BadInput, ::testing::ValuesIn(data_and_model_cases()), name_of_case);
INSTANTIATE_TEST_SUITE_P(Weights, BadInput, ::testing::ValuesIn(weights_cases()), name_of_case);

TEST(Check, FindsAllThatIsWrongNotOnlyTheFirst) {
  RunSite site;
  site.configure("lora_target", "[no_such_proj]");
  site.configure("cutoff_len", "4096");
  const CommandResult result = site.verb({"check", "--config", site.config().string(), "--json"});
  EXPECT_EQ(result.exit_code, 3) << ::testing::PrintToString(result);
  const Json found = Json::parse(result.out, nullptr, false);
  ASSERT_TRUE(found.is_object()) << result.out;
  EXPECT_EQ(found.value("schema", ""), "ftlaunch.check/1");
  EXPECT_FALSE(found.value("ok", true));
  std::string kinds;
  for (const Json& finding : found.value("findings", Json::array())) kinds += finding.value("kind", "") + " ";
  EXPECT_NE(kinds.find("adapter_target_unmatched"), std::string::npos) << kinds;
  EXPECT_NE(kinds.find("sequence_exceeds_positions"), std::string::npos) << kinds;
  EXPECT_FALSE(fs::exists(site.output()));
}

TEST(Check, SaysThatTheOutputCannotBeWritten) {
  RunSite site;
  site.configure("output_dir", "/proc/out");
  const CommandResult result = site.verb({"check", "--config", site.config().string()});
  EXPECT_EQ(result.exit_code, 2) << ::testing::PrintToString(result);
  EXPECT_NE(result.err.find("/proc"), std::string::npos) << result.err;
}

TEST(Check, OfAGoodRunFindsNothingAndStartsNothing) {
  RunSite site;
  const CommandResult result = site.verb({"check", "--config", site.config().string(), "--nodes", "2", "--json"});
  EXPECT_EQ(result.exit_code, have_mpirun() ? 0 : 3) << ::testing::PrintToString(result);
  const Json found = Json::parse(result.out, nullptr, false);
  ASSERT_TRUE(found.is_object()) << result.out;
  EXPECT_EQ(found.value("steps", 0), steps_of_tiny_run);
  EXPECT_EQ(found.value("ok", false), have_mpirun());
  EXPECT_FALSE(fs::exists(site.output()));
}

}  // namespace
}  // namespace ftl
