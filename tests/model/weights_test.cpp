#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>

#include "checkpoints/reader.h"
#include "tests/model/tiny_model.h"

namespace ftl {
namespace {

using testing::HasSubstr;

// A checkpoint in memory, `offset` bytes away from where a vector begins.
class MemoryReader final : public CheckpointReader {
 public:
  explicit MemoryReader(DType dtype = DType::f32, std::size_t offset = 0) : dtype_(dtype), offset_(offset) {}
  // bf16 cuts the values short.
  void add(const std::string& name, std::vector<std::int64_t> shape, const std::vector<float>& values) {
    std::vector<std::byte> bytes(offset_);
    for (const float value : values) {
      const auto* from = reinterpret_cast<const std::byte*>(&value);
      bytes.insert(bytes.end(), from + (dtype_ == DType::bf16 ? 2 : 0), from + 4);
    }
    tensors_.push_back({name, dtype_, std::move(shape), "memory"});
    std::sort(tensors_.begin(), tensors_.end(),
              [](const auto& one, const auto& other) { return one.name < other.name; });
    bytes_[name] = std::move(bytes);
  }
  const std::vector<TensorInfo>& tensors() const override { return tensors_; }
  Result<std::span<const std::byte>> bytes(const std::string& name) const override {
    return std::span(bytes_.at(name)).subspan(offset_);
  }

 private:
  DType dtype_;
  std::size_t offset_;
  std::vector<TensorInfo> tensors_;
  std::map<std::string, std::vector<std::byte>> bytes_;
};

// All tensors that `config` calls for, but `without`; each holds its own noise.
MemoryReader checkpoint_of(const ModelConfig& config, const std::string& without = "", DType dtype = DType::f32,
                           std::size_t offset = 0) {
  MemoryReader reader(dtype, offset);
  std::uint32_t index = 0;
  for (const WeightShape& weight : weight_shapes(config)) {
    std::int64_t count = 1;
    for (const std::int64_t extent : weight.shape) count *= extent;
    if (weight.name != without) reader.add(weight.name, weight.shape, tiny::noise(count, ++index, 1));
  }
  return reader;
}

class Weights : public testing::Test {
 protected:
  std::unique_ptr<Device> device = std::move(*make_cpu_device());
};

TEST_F(Weights, AreDenseAndSortedByName) {
  for (const bool tied : {false, true}) {
    Llama model = std::move(*Llama::random(*device, tiny::config_of(tied), 1));
    std::int64_t offset = 0;
    std::string previous;
    for (const TrainableTensor& weight : model.weights()) {
      EXPECT_LT(previous, weight.name);
      EXPECT_EQ(weight.offset, offset) << weight.name;
      EXPECT_EQ(weight.values, model.weights()[0].values + offset) << weight.name;
      EXPECT_EQ(weight.decayed, weight.shape.size() == 2) << weight.name;
      std::int64_t count = 1;
      for (const std::int64_t extent : weight.shape) count *= extent;
      EXPECT_EQ(weight.count, count) << weight.name;
      offset += count;
      previous = weight.name;
    }
    EXPECT_EQ(offset, weight_count(tiny::config_of(tied)));
    EXPECT_EQ(model.weights().size(), (tied ? 2u : 3u) + 2 * 9);
  }
}

TEST_F(Weights, AreThoseOfTheCheckpoint) {
  const MemoryReader reader = checkpoint_of(tiny::config_of(false));
  Llama model = std::move(*Llama::load(*device, tiny::config_of(false), reader));
  for (const TrainableTensor& weight : model.weights()) {
    const auto stored = *reader.bytes(weight.name);
    EXPECT_EQ(std::memcmp(weight.values, stored.data(), stored.size()), 0) << weight.name;
  }
}

struct Mapping {
  const char* name;
  DType dtype;
  std::size_t offset;
};
class MappedWeights : public testing::TestWithParam<Mapping> {};

// However a tensor lies in its file, and whether it is used there or had to be copied.
TEST_P(MappedWeights, GiveTheBitsOfLoadedOnes) {
  tiny::Model tiny;
  const MemoryReader reader = checkpoint_of(tiny.config, "", GetParam().dtype, GetParam().offset);
  const auto outcome = [&](Llama llama) {
    tiny.llama = std::move(llama);
    return tiny::run(tiny, 9, tiny::text_of(9));
  };
  const tiny::Outcome mapped = outcome(std::move(*Llama::map(*tiny.device, tiny.config, reader)));
  const tiny::Outcome loaded = outcome(std::move(*Llama::load(*tiny.device, tiny.config, reader)));
  EXPECT_EQ(mapped.loss, loaded.loss);
  EXPECT_EQ(mapped.gradient, loaded.gradient);
}
INSTANTIATE_TEST_SUITE_P(Layouts, MappedWeights,
                         testing::Values(Mapping{"f32", DType::f32, 0}, Mapping{"bf16", DType::bf16, 0},
                                         Mapping{"f32_between_floats", DType::f32, 2},
                                         Mapping{"bf16_between_floats", DType::bf16, 2},
                                         Mapping{"bf16_at_an_odd_address", DType::bf16, 1}),
                         [](const auto& test) { return std::string(test.param.name); });

TEST_F(Weights, AMissingTensorIsNamed) {
  const auto model = Llama::load(*device, tiny::config_of(false),
                                 checkpoint_of(tiny::config_of(false), "model.layers.1.mlp.up_proj.weight"));
  ASSERT_FALSE(model);
  EXPECT_EQ(model.error().kind, FaultKind::checkpoint_incomplete);
  EXPECT_THAT(model.error().what, testing::AllOf(HasSubstr("model.layers.1.mlp.up_proj.weight"), HasSubstr("1 of 21")));
}

TEST_F(Weights, AMisshapenTensorIsNamedWithBothShapes) {
  ModelConfig wider = tiny::config_of(false);
  wider.ffn_width += 1;
  const auto model = Llama::load(*device, wider, checkpoint_of(tiny::config_of(false)));
  ASSERT_FALSE(model);
  EXPECT_EQ(model.error().kind, FaultKind::checkpoint_incomplete);
  EXPECT_THAT(model.error().what, testing::AllOf(HasSubstr("[24, 36]"), HasSubstr("[24, 37]")));
}

TEST_F(Weights, RandomOnesAreNormalWithDeviationTwoHundredthsAndNormsOne) {
  ModelConfig config = tiny::config_of(false);
  config.vocabulary = 2000;
  Llama model = std::move(*Llama::random(*device, config, 1));
  for (const TrainableTensor& weight : model.weights()) {
    double sum = 0, squares = 0;
    for (std::int64_t i = 0; i < weight.count; ++i) {
      sum += weight.values[i];
      squares += static_cast<double>(weight.values[i]) * weight.values[i];
    }
    const double count = static_cast<double>(weight.count);
    const bool norm = weight.shape.size() == 1;
    EXPECT_NEAR(sum / count, norm ? 1 : 0, norm ? 0 : 0.08 / std::sqrt(count)) << weight.name;
    EXPECT_NEAR(std::sqrt(squares / count), norm ? 1 : 0.02, norm ? 0 : 0.06 / std::sqrt(count)) << weight.name;
  }
}

TEST_F(Weights, WithEveryTraitAreWhatIsCounted) {
  const ModelConfig config = tiny::with_every_trait();
  Llama model = std::move(*Llama::random(*device, config, 1));
  std::int64_t count = 0;
  for (const TrainableTensor& weight : model.weights()) {
    EXPECT_EQ(weight.decayed, weight.shape.size() == 2) << weight.name;
    // Gains are 1 + weight, so they begin at 0; and so do biases.
    if (weight.shape.size() == 1) {
      EXPECT_EQ(weight.values[0], 0) << weight.name;
    }
    count += weight.count;
  }
  EXPECT_EQ(model.weights().size(), 2u + 2 * (7 + 7 + 4 + 2));  // tied; matrices, biases, norms, norms of q and k
  EXPECT_EQ(count, weight_count(config));
}

struct WorkspaceCase {
  const char* name;
  bool training, adapter;
  std::int64_t rows;
};
class WorkspaceSize : public testing::TestWithParam<WorkspaceCase> {};
TEST_P(WorkspaceSize, IsPredictedToTheByte) {
  const auto [name, training, adapter, rows] = GetParam();
  for (const ModelConfig& config : {tiny::config_of(false), tiny::with_every_trait()}) {
    tiny::Model model(config);
    const AdapterShape* shape = adapter ? &model.adapter.shape() : nullptr;
    const auto workspace = std::move(*model.llama.make_workspace(rows, training, shape));
    EXPECT_EQ(Llama::workspace_bytes(model.config, rows, shape, training && !adapter, training),
              workspace->allocated_bytes());
  }
}
INSTANTIATE_TEST_SUITE_P(Plans, WorkspaceSize,
                         testing::Values(WorkspaceCase{"inference", false, false, 1},
                                         WorkspaceCase{"inference_with_adapter", false, true, 200},
                                         WorkspaceCase{"adapter", true, true, 17},
                                         WorkspaceCase{"adapter_long", true, true, 400},
                                         WorkspaceCase{"full_parameter", true, false, 129}),
                         [](const auto& test) { return std::string(test.param.name); });

TEST(Workspace, RefusesIdsOutsideTheVocabularyAndGradientsWithoutRoom) {
  tiny::Model model;
  auto workspace = std::move(*model.llama.make_workspace(8, false, &model.adapter.shape()));
  std::vector<float> gradient(static_cast<std::size_t>(model.adapter.parameters()));
  const auto loss = [&](std::vector<std::int32_t> ids, std::vector<std::int32_t> targets, float* into) {
    return model.llama.loss(*model.stream, *workspace, &model.adapter, ids, targets, into);
  };
  EXPECT_TRUE(loss({1, 52}, {52, -1}, nullptr));
  EXPECT_EQ(loss({1, 53}, {1, -1}, nullptr).error().kind, FaultKind::tokenizer_exceeds_vocabulary);
  EXPECT_EQ(loss({-1, 2}, {1, -1}, nullptr).error().kind, FaultKind::tokenizer_exceeds_vocabulary);
  EXPECT_EQ(loss({1, 2}, {53, -1}, nullptr).error().kind, FaultKind::tokenizer_exceeds_vocabulary);
  EXPECT_EQ(loss({1, 2}, {-2, -1}, nullptr).error().kind, FaultKind::tokenizer_exceeds_vocabulary);
  EXPECT_EQ(loss({1, 2}, {2, -1}, gradient.data()).error().kind, FaultKind::internal_error);
  EXPECT_EQ(loss({1, 2, 3, 4, 5, 6, 7, 8, 9}, {2, 3, 4, 5, 6, 7, 8, 9, -1}, nullptr).error().kind,
            FaultKind::internal_error);
}

}  // namespace
}  // namespace ftl
