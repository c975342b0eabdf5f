// The same tiny model in every layout that weights come in (tests/golden/make_meta_goldens.py): the same tensors and
// the oracle's logits from each.
#include "checkpoints/meta_checkpoint.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "checkpoints/torch_file.h"
#include "tests/checkpoints/fresh_directory.h"
#include "trainer/model/llama.h"
#include "trainer/model/llama_weights.h"
#include "trainer/model/meta_params.h"

namespace ftl {
namespace {

using testing::HasSubstr;
namespace fs = std::filesystem;

const std::string data = std::string(FTL_SOURCE_DIR) + "/tests/golden/data/meta/";

struct Opened {
  ModelConfig config;
  std::unique_ptr<CheckpointReader> reader;
};
Opened open(const std::string& directory) {
  PosixFiles files;
  Result<ModelConfig> config = read_model_config(files, directory);
  EXPECT_TRUE(config) << describe(config.error());
  Result<std::unique_ptr<CheckpointReader>> reader = open_base_weights(files, directory, *config);
  EXPECT_TRUE(reader) << describe(reader.error());
  return {*config, std::move(*reader)};
}
std::vector<float> values(const CheckpointReader& reader, const TensorInfo& tensor) {
  std::vector<float> got(static_cast<std::size_t>(element_count(tensor)));
  EXPECT_TRUE(reader.read_f32(tensor.name, got));
  return got;
}

struct Layout {
  const char* name;
  DType dtype;
  bool copies_q_and_k, copies_splits;
};
void PrintTo(const Layout& layout, std::ostream* out) { *out << layout.name; }
class EveryLayout : public testing::TestWithParam<Layout> {};
INSTANTIATE_TEST_SUITE_P(Table, EveryLayout,
                         testing::Values(Layout{"hf_f32", DType::f32, false, false},
                                         Layout{"hf_sharded", DType::bf16, false, false},
                                         Layout{"mp1", DType::bf16, true, false},
                                         Layout{"mp2_columns", DType::f16, true, true},
                                         Layout{"mp2_rows", DType::f32, true, true}),
                         [](const auto& layout) { return std::string(layout.param.name); });

TEST_P(EveryLayout, HasTheSameTensors) {
  const Opened expected = open(data + "hf_f32"), got = open(data + GetParam().name);
  ASSERT_EQ(got.reader->tensors().size(), expected.reader->tensors().size());
  for (std::size_t i = 0; i < got.reader->tensors().size(); ++i) {
    const TensorInfo &one = got.reader->tensors()[i], &other = expected.reader->tensors()[i];
    EXPECT_EQ(one.name, other.name);
    EXPECT_EQ(one.shape, other.shape) << one.name;
    EXPECT_EQ(one.dtype, GetParam().dtype) << one.name;
    EXPECT_EQ(values(*got.reader, one), values(*expected.reader, other)) << one.name;
  }
}

TEST_P(EveryLayout, HasTheSameArchitecture) {
  const ModelConfig expected = open(data + "hf_f32").config, got = open(data + GetParam().name).config;
  EXPECT_EQ(got.family, expected.family);
  EXPECT_EQ(std::tuple(got.vocabulary, got.width, got.ffn_width, got.layers, got.heads, got.kv_heads, got.head_dim),
            std::tuple(expected.vocabulary, expected.width, expected.ffn_width, expected.layers, expected.heads,
                       expected.kv_heads, expected.head_dim));
  EXPECT_EQ(std::tuple(got.max_positions, got.rope.theta, got.rms_norm_epsilon, got.tied_embeddings),
            std::tuple(expected.max_positions, expected.rope.theta, expected.rms_norm_epsilon, false));
}

TEST_P(EveryLayout, GivesTheLogitsOfTheOracle) {
  const Opened opened = open(data + GetParam().name);
  auto device = make_cpu_device();
  ASSERT_TRUE(device);
  auto stream = (*device)->make_stream(1);
  ASSERT_TRUE(stream);
  Result<Llama> model = Llama::map(**device, opened.config, *opened.reader);
  ASSERT_TRUE(model) << describe(model.error());
  std::ifstream file(data + "golden.json");
  for (const nlohmann::json& item : nlohmann::json::parse(file)) {
    const auto ids = item["ids"].get<std::vector<std::int32_t>>();
    auto workspace = model->make_workspace(static_cast<std::int64_t>(ids.size()), false, nullptr);
    ASSERT_TRUE(workspace);
    std::vector<float> logits(ids.size() * static_cast<std::size_t>(opened.config.vocabulary));
    ASSERT_TRUE(model->logits(**stream, **workspace, nullptr, ids, logits));
    double largest = 0, worst = 0;
    for (std::size_t row = 0; row < ids.size(); ++row) {
      const auto expected = item["logits"][row].get<std::vector<double>>();
      ASSERT_EQ(expected.size(), static_cast<std::size_t>(opened.config.vocabulary));
      for (std::size_t i = 0; i < expected.size(); ++i) {
        largest = std::max(largest, std::abs(expected[i]));
        worst = std::max(worst, std::abs(expected[i] - logits[row * expected.size() + i]));
      }
    }
    EXPECT_LT(worst, 1e-5 * largest);
  }
}

TEST_P(EveryLayout, IsMappedButForWhatIsPutTogether) {
  const Opened opened = open(data + GetParam().name);
  std::int64_t copied = 0, widened = 0, all = 0;
  for (const TensorInfo& tensor : opened.reader->tensors()) {
    const std::int64_t count = element_count(tensor), bytes = count * size_in_bytes(tensor.dtype);
    const bool is_norm = tensor.name.ends_with("norm.weight");
    const bool permuted = tensor.name.ends_with("q_proj.weight") || tensor.name.ends_with("k_proj.weight");
    if (permuted ? GetParam().copies_q_and_k : (GetParam().copies_splits && !is_norm)) copied += bytes;
    if (is_norm || tensor.dtype == DType::f16) widened += count * 4;
    all += is_norm || tensor.dtype == DType::f16 ? 0 : bytes;
  }
  EXPECT_EQ(opened.reader->held_bytes(), copied);
  const BaseBytes base = bytes_of_mapped_weights(opened.config, *opened.reader);
  EXPECT_EQ(base.copied, widened);
  EXPECT_EQ(base.mapped, all);
}

class MetaParts : public testing::Test {
 protected:
  explicit MetaParts(const char* layout = "mp2_rows") {
    for (const auto& entry : fs::directory_iterator(data + layout))
      put(directory_ / entry.path().filename().string(), get(entry.path().string()));
  }
  Failure refusal() {
    Result<ModelConfig> config = read_model_config(files_, directory_.path());
    if (!config) return config.error();
    auto reader = open_base_weights(files_, directory_.path(), *config);
    EXPECT_FALSE(reader);
    return reader ? Failure{FaultKind::internal_error, "it was taken", "", ""} : reader.error();
  }
  FreshDirectory directory_;
  PosixFiles files_;
};

TEST_F(MetaParts, AMissingPartIsNamedWithBothCounts) {
  for (const char* name : {"consolidated.01.pth", "consolidated.00.pth"}) {
    const std::string kept = get(directory_ / name);
    fs::remove(directory_ / name);
    const Failure failure = refusal();
    EXPECT_EQ(failure.kind, FaultKind::checkpoint_incomplete);
    EXPECT_THAT(failure.what, HasSubstr(std::string(name) + " of 2 is missing; 1 of 2 parts are here"));
    put(directory_ / name, kept);
  }
}

TEST_F(MetaParts, APartTooManyIsNamed) {
  put(directory_ / "consolidated.02.pth", get(directory_ / "consolidated.01.pth"));
  EXPECT_THAT(refusal().what, testing::AllOf(HasSubstr("consolidated.02.pth"), HasSubstr("2 parts")));
}

TEST_F(MetaParts, PartsOfTwoCheckpointsAreRefused) {
  std::string other = get(directory_ / "consolidated.01.pth");
  const auto tensors = parse_torch_file(std::as_bytes(std::span(other)), "");
  ASSERT_TRUE(tensors);
  const auto norm = std::ranges::find(*tensors, "norm.weight", [](const TorchTensor& t) { return t.info.name; });
  ASSERT_NE(norm, tensors->end());
  const auto at = reinterpret_cast<const char*>(norm->bytes.data()) - other.data();
  other[static_cast<std::size_t>(at)] ^= 1;
  put(directory_ / "consolidated.01.pth", other);
  EXPECT_THAT(refusal().what, HasSubstr("norm.weight is not the same"));
}

TEST_F(MetaParts, AMissingLayerIsNamed) {
  std::string params = get(directory_ / "params.json");
  const auto at = params.find("\"n_layers\": 2");
  ASSERT_NE(at, std::string::npos);
  put(directory_ / "params.json", params.replace(at, 13, "\"n_layers\": 3"));
  EXPECT_THAT(refusal().what, HasSubstr("consolidated.00.pth of 2 lacks the tensor \"layers.2.attention.wq.weight\""));
}

TEST_F(MetaParts, ParamsOfAnotherModelAreRefusedWithBothShapes) {
  std::string params = get(directory_ / "params.json");
  const auto at = params.find("\"multiple_of\": 8");
  ASSERT_NE(at, std::string::npos);
  put(directory_ / "params.json", params.replace(at, 16, "\"multiple_of\": 9"));
  EXPECT_THAT(refusal().what, testing::AllOf(HasSubstr("[44, 24]"), HasSubstr("[90, 24]")));
}

}  // namespace
}  // namespace ftl
