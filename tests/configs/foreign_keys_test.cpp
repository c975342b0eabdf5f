// The names of other tools, walked from the table: every one that is a key of ours under another name is read as that
// key, every other one is refused with the tool's name.
#include "configs/foreign_keys.h"

#include <algorithm>
#include <set>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "configs/schema.h"
#include "tests/configs/config_text.h"

namespace ftl {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;

const std::string without_model = "datasets: [{path: d.jsonl}]\n";

// A valid value of a key other than its default, where this version has one.
std::string valid_value(const Key& key) {
  RunConfig defaults;
  for (const Choice& choice : key.choices) {
    if (!choice.later) return std::string(choice.text);
  }
  const Place place = key.place(&defaults);
  if (auto* const* truth = std::get_if<bool*>(&place)) return key.only_default == **truth ? "true" : "false";
  if (std::holds_alternative<std::string*>(place)) return "never";
  if (std::holds_alternative<std::vector<std::string>*>(place)) return "[q_proj, v_proj]";
  if (key.only_default) return key.name.starts_with("parallel.t") || key.name.starts_with("parallel.c") ? "1" : "0";
  return key.most <= 1 ? "0.5" : key.name == "cutoff_len" ? "77" : "3";
}

// "a.b.c" and a value as nested YAML.
std::string nested(std::string_view name, const std::string& value) {
  std::string text, indent;
  for (std::size_t dot = 0; (dot = name.find('.')) != std::string_view::npos; indent += "  ") {
    text += fmt::format("{}{}:\n", indent, name.substr(0, dot));
    name.remove_prefix(dot + 1);
  }
  return text + fmt::format("{}{}: {}\n", indent, name, value);
}

std::string name_for_test(const ForeignKey& foreign) {
  std::string name(foreign.name);
  if (const std::size_t star = name.find('*'); star != std::string::npos) name.replace(star, 1, "anything");
  return name;
}

TEST(ForeignKeys, EveryLineNamesAKeyOfOursOrNone) {
  for (const ForeignKey& foreign : foreign_keys()) {
    const bool of_dataset = foreign.name.starts_with("datasets[].");
    if (foreign.names_a_key() && !of_dataset) {
      EXPECT_NE(config_key(foreign.key), nullptr) << foreign.name;
    }
    if (!foreign.names_a_key()) {
      EXPECT_EQ(foreign.key, "") << foreign.name;
    }
    if (foreign.meaning == ForeignMeaning::instead) {
      EXPECT_NE(foreign.say, "") << foreign.name;
    }
    EXPECT_EQ(config_key(foreign.name), nullptr) << foreign.name << " is a key of ours";
  }
}

TEST(ForeignKeys, NoToolHasANameTwice) {
  for (const Tool tool : tools_with_files) {
    std::set<std::string_view> names;
    for (const ForeignKey& foreign : foreign_keys()) {
      if (foreign.is_of(tool)) {
        EXPECT_TRUE(names.insert(foreign.name).second) << name_of(tool) << ": " << foreign.name;
      }
    }
  }
}

TEST(ForeignKeys, EveryOtherNameIsReadAsTheKeyAndReportedOnce) {
  for (const ForeignKey& foreign : foreign_keys()) {
    if (foreign.meaning != ForeignMeaning::same || foreign.name.starts_with("datasets[].")) continue;
    if (foreign_key(foreign.name) != &foreign) continue;  // another tool's meaning comes first
    const Key& key = *config_key(foreign.key);
    const std::string value = valid_value(key);
    const std::string before = (key.name == "model_name_or_path" ? without_model : smallest) +
                               (key.name == "eval_steps" ? "val_set_size: 0.1\n" : "");
    const Result<ReadConfig> by_alias = read(before + nested(foreign.name, value));
    const Result<ReadConfig> by_name = read(before + nested(key.name, value));
    ASSERT_TRUE(by_name) << key.name << ": " << describe(by_name.error());
    ASSERT_TRUE(by_alias) << foreign.name << ": " << describe(by_alias.error());
    EXPECT_EQ(by_alias->config, by_name->config) << foreign.name;
    const std::string said = fmt::format("{} is read as {}", foreign.name, key.name);
    EXPECT_EQ(std::count(by_alias->notes.begin(), by_alias->notes.end(), said), 1) << said;
  }
}

TEST(ForeignKeys, ANameAndItsOtherNameTogetherAreRefusedWithBothPlaces) {
  for (const ForeignKey& foreign : foreign_keys()) {
    if (foreign.meaning != ForeignMeaning::same || foreign.name.starts_with("datasets[].")) continue;
    if (foreign_key(foreign.name) != &foreign || foreign.key.find('.') != std::string_view::npos) continue;
    const Key& key = *config_key(foreign.key);
    const std::string value = valid_value(key);
    const std::string ours = fmt::format("{}: {}\n", key.name, value);
    const auto depth = std::ranges::count(foreign.name, '.');
    for (const bool ours_first : {true, false}) {
      const std::string theirs = nested(foreign.name, value), text = ours_first ? ours + theirs : theirs + ours;
      const std::string first = ours_first ? "run.yaml:2:1" : fmt::format("run.yaml:{}:{}", 2 + depth, 1 + 2 * depth);
      std::vector<Failure> all;
      EXPECT_FALSE(read(without_model + text, {}, &all)) << text;
      ASSERT_FALSE(all.empty()) << text;
      EXPECT_EQ(all.front().kind, FaultKind::config_invalid_value);
      EXPECT_THAT(all.front().what, HasSubstr(std::string(foreign.name))) << text;
      EXPECT_THAT(all.front().what, HasSubstr(first)) << text;
      EXPECT_THAT(all.front().where, HasSubstr("run.yaml:")) << text;
    }
  }
}

TEST(ForeignKeys, WhatFtlaunchHasNotIsRefusedByTheToolsName) {
  for (const ForeignKey& foreign : foreign_keys()) {
    if (foreign.names_a_key() || foreign.name.starts_with("datasets[].")) continue;
    const std::string name = name_for_test(foreign);
    if (foreign_key(name) != &foreign) continue;
    std::vector<Failure> all;
    EXPECT_FALSE(read(smallest + nested(name, "5"), {}, &all)) << name;
    ASSERT_EQ(all.size(), 1u) << name;
    EXPECT_THAT(all[0].what, HasSubstr(tools_of(foreign))) << name;
    EXPECT_EQ(all[0].kind,
              foreign.meaning == ForeignMeaning::later ? FaultKind::not_in_this_version : FaultKind::config_unknown_key)
        << name;
    if (foreign.meaning == ForeignMeaning::later) {
      EXPECT_THAT(all[0].what, HasSubstr("not in this version"));
    }
    if (!foreign.say.empty()) {
      EXPECT_THAT(all[0].fix, HasSubstr(std::string(foreign.say))) << name;
    }
    if (!name.ends_with(".anything")) {
      EXPECT_TRUE(read(smallest + nested(name, ""))) << name << " without a value says nothing";
    }
  }
}

TEST(ForeignKeys, SwitchedOffWhatIsNotInThisVersionAsksForNothing) {
  const Result<ReadConfig> got = read(smallest + "load_in_4bit: false\nneftune_noise_alpha: 0\nfsdp: []\n");
  ASSERT_TRUE(got) << describe(got.error());
  EXPECT_THAT(got->notes, Contains("load_in_4bit is off, as ftlaunch has it"));
  EXPECT_EQ(got->config, good(smallest));
}

TEST(ForeignKeys, ValuesAreMappedWhereTheirSpellingDiffers) {
  EXPECT_EQ(good(smallest + "optim: adamw_torch\n").optim, "adamw");
  EXPECT_EQ(good(smallest + "optimizer:\n  _component_: torch.optim.AdamW\n  lr: 3e-4\n").learning_rate, 3e-4);
  EXPECT_EQ(good(smallest + "lr_scheduler: constant_with_warmup\n").lr_scheduler_type, "constant");
  EXPECT_EQ(good(smallest + "fine_tune_type: full\n").adapter, "none");
  EXPECT_EQ(good(smallest + "fine_tune_type: lora\n").adapter, "lora");
  EXPECT_EQ(good(smallest + "use_peft: false\n").adapter, "none");
  EXPECT_EQ(good(smallest + "max_steps: -1\n").max_steps, 0);
  EXPECT_EQ(good(smallest + "mask_prompt: false\n").train_on_inputs, true);
  EXPECT_EQ(good(smallest + "bf16: auto\nfp16: false\n").dtype, "float32");
  EXPECT_EQ(good(smallest + "use_rslora: True\n").use_rslora, true);
  EXPECT_EQ(good(smallest + "use_cpu: true\n").device, "cpu");
  EXPECT_THAT(good(smallest + "lora_target_linear: true\n").lora_target, ElementsAre("all"));
  EXPECT_THAT(good(smallest + "lora_target: q_proj, v_proj\n").lora_target, ElementsAre("q_proj", "v_proj"));
  EXPECT_THAT(good(smallest + "lora_target: '(q|k){1,2}_proj'\n").lora_target, ElementsAre("(q|k){1,2}_proj"));
  EXPECT_EQ(good("model_name_or_path: m\ndatasets: [{path: d, field: body}]\n").datasets[0].field_text, "body");
  const Result<ReadConfig> half = read(smallest + "bf16: true\n");
  ASSERT_FALSE(half);
  EXPECT_EQ(half.error().kind, FaultKind::not_in_this_version);
  EXPECT_THAT(half.error().what, HasSubstr("bfloat16"));
}

TEST(ForeignKeys, TwoOtherNamesOfOneKeyAreRefused) {
  for (const char* text : {"lora_target_linear: true\nlora_target_modules: [q_proj]\n", "lora_r: 4\nr: 4\n",
                           "gradient_accumulation_steps: 2\ngrad_accumulation_steps: 2\n"}) {
    const Result<ReadConfig> got = read(smallest + text);
    ASSERT_FALSE(got) << text;
    EXPECT_THAT(got.error().what, HasSubstr("run.yaml:3:1"));
    EXPECT_THAT(got.error().where, HasSubstr("run.yaml:4:1"));
  }
}

TEST(ForeignKeys, AnOverrideMayUseAnotherName) {
  EXPECT_EQ(good(smallest + "lora_rank: 4\n", {"model.lora_rank=6"}).lora_rank, 6);
  EXPECT_EQ(good(smallest + "lora_r: 4\n", {"lora_rank=6"}).lora_rank, 6);
}

}  // namespace
}  // namespace ftl
