// What is computed for a sequence depends on the sequence alone.
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/model/tiny_model.h"

namespace ftl {
namespace {

constexpr std::int64_t rows = 300;  // more than two chunks of the LM head

TEST(Exactness, TheNumberOfThreadsChangesNoBit) {
  const tiny::Text text = tiny::text_of(rows);
  for (const bool full : {false, true}) {
    tiny::Model one({"all"}, false, 1);
    const tiny::Outcome expected = tiny::run(one, rows, text, full);
    for (const int threads : {2, 3}) {
      tiny::Model more({"all"}, false, threads);
      EXPECT_EQ(tiny::run(more, rows, text, full), expected) << threads << " threads";
    }
  }
}

TEST(Exactness, TheNumberOfThreadsChangesNoBitWithAnyTrait) {
  const tiny::Text text = tiny::text_of(rows);
  for (const bool full : {false, true}) {
    tiny::Model one(tiny::with_every_trait(), {"all"}, 1);
    const tiny::Outcome expected = tiny::run(one, rows, text, full);
    for (const int threads : {2, 3}) {
      tiny::Model more(tiny::with_every_trait(), {"all"}, threads);
      EXPECT_EQ(tiny::run(more, rows, text, full), expected) << threads << " threads";
    }
  }
}

// Angles that depend on the length are those of the sequence, not of the workspace or of what it computed before.
TEST(Exactness, TheWorkspaceChangesNoBitOfASequenceWithDynamicRope) {
  tiny::Model model(tiny::with_dynamic_rope());
  const tiny::Text text = tiny::text_of(50), longer = tiny::text_of(90);
  const tiny::Outcome expected = tiny::run(model, 50, text);
  auto workspace = std::move(*model.llama.make_workspace(90, true, &model.adapter.shape()));
  std::vector<float> gradient(static_cast<std::size_t>(model.adapter.parameters()));
  for (const tiny::Text* each : {&text, &longer, &text}) {
    const auto loss =
        model.llama.loss(*model.stream, *workspace, &model.adapter, each->ids, each->targets, gradient.data());
    if (each == &text) {
      EXPECT_EQ((tiny::Outcome{loss->loss, gradient}), expected);
    }
  }
}

TEST(Exactness, TheSizeOfTheWorkspaceChangesNoBit) {
  tiny::Model model;
  for (const std::int64_t length : {std::int64_t{40}, rows}) {
    const tiny::Text text = tiny::text_of(length);
    for (const bool full : {false, true}) {
      const tiny::Outcome expected = tiny::run(model, length, text, full);
      for (const std::int64_t more : {1, 100, 212})
        EXPECT_EQ(tiny::run(model, length + more, text, full), expected) << length + more;
    }
  }
}

TEST(Exactness, WhatTheWorkspaceComputedBeforeChangesNoBit) {
  tiny::Model model;
  const tiny::Text text = tiny::text_of(50), longer = tiny::text_of(rows);
  auto workspace = std::move(*model.llama.make_workspace(rows, true, &model.adapter.shape()));
  std::vector<float> gradient(static_cast<std::size_t>(model.adapter.parameters()));
  ASSERT_TRUE(model.llama.loss(*model.stream, *workspace, &model.adapter, longer.ids, longer.targets, gradient.data()));
  const auto again =
      model.llama.loss(*model.stream, *workspace, &model.adapter, text.ids, text.targets, gradient.data());
  EXPECT_EQ((tiny::Outcome{again->loss, gradient}), tiny::run(model, 50, text));
}

TEST(Exactness, WhatFollowsTheLastTargetChangesNoBit) {
  tiny::Model model;
  tiny::Text text = tiny::text_of(60), longer = tiny::text_of(90);
  text.targets[59] = -1;
  for (std::size_t i = 0; i < longer.targets.size(); ++i) longer.targets[i] = i < 60 ? text.targets[i] : -1;
  EXPECT_EQ(tiny::run(model, 90, longer), tiny::run(model, 60, text));
}

TEST(Exactness, TheLossIsTheSameWithAndWithoutGradient) {
  tiny::Model model;
  const tiny::Text text = tiny::text_of(rows);
  auto workspace = std::move(*model.llama.make_workspace(rows, false, &model.adapter.shape()));
  const auto loss = model.llama.loss(*model.stream, *workspace, &model.adapter, text.ids, text.targets, nullptr);
  EXPECT_EQ(loss->loss, tiny::run(model, rows, text).loss);
  EXPECT_EQ(loss->tokens,
            std::count_if(text.targets.begin(), text.targets.end(), [](std::int32_t target) { return target >= 0; }));
}

}  // namespace
}  // namespace ftl
