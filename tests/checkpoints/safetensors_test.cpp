#include "checkpoints/safetensors.h"
#include "checkpoints/shard_index.h"

#include <array>
#include <cstring>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/checkpoints/fresh_directory.h"

namespace ftl {
namespace {

using testing::HasSubstr;

std::string with_length(const std::string& header, std::uint64_t length) {
  return std::string(reinterpret_cast<const char*>(&length), 8) + header;
}
std::string file_of(const std::string& header, std::size_t data) {
  return with_length(header, header.size()) + std::string(data, 'x');
}

Result<SafetensorsHeader> parse(const std::string& file) {
  return parse_safetensors(std::as_bytes(std::span(file)), "m.safetensors");
}

struct BadCase {
  const char* name;
  std::string file;
  std::vector<const char*> words;
};
void PrintTo(const BadCase& bad, std::ostream* out) { *out << bad.name; }
class BadSafetensors : public testing::TestWithParam<BadCase> {};

TEST_P(BadSafetensors, IsRefusedWithNumbersAndPlace) {
  const Result<SafetensorsHeader> got = parse(GetParam().file);
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().kind, FaultKind::safetensors_corrupt);
  EXPECT_EQ(got.error().where, "m.safetensors");
  for (const char* word : GetParam().words) EXPECT_THAT(got.error().what + got.error().fix, HasSubstr(word));
  EXPECT_LT(got.error().what.size(), 500u);
}

const std::string a = R"("a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]})";
const std::string b = R"("b":{"dtype":"F32","shape":[1],"data_offsets":[8,12]})";

INSTANTIATE_TEST_SUITE_P(
    Table, BadSafetensors,
    testing::Values(
        BadCase{"empty", "", {"0 bytes", "8"}}, BadCase{"seven_bytes", "1234567", {"7 bytes"}},
        BadCase{"git_lfs", "version https://git-lfs.github.com/spec/v1\noid sha256:abc\nsize 1\n", {"git lfs pull"}},
        BadCase{"no_header", with_length("", 0), {"0 bytes"}},
        BadCase{"header_beyond_file", with_length("{}", 3), {"3", "2"}},
        BadCase{"header_too_large", with_length("{}", 100'000'001), {"100000001", "100000000"}},
        BadCase{"header_length_overflows", with_length("{}", ~0ull), {"18446744073709551615"}},
        BadCase{"no_brace", file_of("[1]     ", 0), {"0x5b"}}, BadCase{"garbage", file_of("{\"a\":", 0), {"JSON"}},
        BadCase{"bad_utf8", file_of("{\"\xff\":1}", 0), {"JSON"}}, BadCase{"text_after", file_of("{}x", 0), {"JSON"}},
        BadCase{"deep", file_of("{" + std::string("\"a\":{\"shape\":") + std::string(100000, '['), 0), {"array"}},
        BadCase{"deep_objects", file_of(R"({"a":{"b":{"c":{}}}})", 0), {"\"b\""}},
        BadCase{"same_name_twice",
                file_of("{" + a + "," + R"("a":{"dtype":"F32","shape":[1],"data_offsets":[8,12]})" + "}", 12),
                {"\"a\"", "twice"}},
        BadCase{"same_field_twice",
                file_of(R"({"a":{"dtype":"F32","dtype":"F32","shape":[2],"data_offsets":[0,8]}})", 8),
                {"dtype", "twice"}},
        BadCase{"same_metadata_twice", file_of(R"({"__metadata__":{"k":"1","k":"2"}})", 0), {"twice"}},
        BadCase{"metadata_number", file_of(R"({"__metadata__":{"k":1}})", 0), {"number"}},
        BadCase{"unknown_dtype", file_of(R"({"a":{"dtype":"Q4_0","shape":[2],"data_offsets":[0,8]}})", 8), {"Q4_0"}},
        BadCase{"negative_shape", file_of(R"({"a":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}})", 8), {"-2"}},
        BadCase{"huge_extent",
                file_of(R"({"a":{"dtype":"F32","shape":[18446744073709551615],"data_offsets":[0,8]}})", 8),
                {"18446744073709551615"}},
        BadCase{"overflow",
                file_of(R"({"a":{"dtype":"F32","shape":[4294967296,4294967296,4294967296],"data_offsets":[0,8]}})", 8),
                {"overflow"}},
        BadCase{"fraction", file_of(R"({"a":{"dtype":"F32","shape":[2.0],"data_offsets":[0,8]}})", 8), {"2.0"}},
        BadCase{"no_shape", file_of(R"({"a":{"dtype":"F32","data_offsets":[0,8]}})", 8), {"shape"}},
        BadCase{"three_offsets", file_of(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4,8]}})", 8), {"3"}},
        BadCase{"size_differs", file_of(R"({"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}})", 8), {"12", "8"}},
        BadCase{"backwards", file_of(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}})", 8), {"8", "0"}},
        BadCase{"truncated", file_of("{" + a + "}", 7), {"8", "7", "truncated"}},
        BadCase{"trailing", file_of("{" + a + "}", 9), {"8", "9"}},
        BadCase{"overlap",
                file_of("{" + a + "," + R"("b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]})" + "}", 12),
                {"overlap", "4", "8"}},
        BadCase{"hole",
                file_of("{" + a + "," + R"("b":{"dtype":"F32","shape":[1],"data_offsets":[12,16]})" + "}", 16),
                {"hole", "12", "8"}}),
    [](const auto& bad) { return std::string(bad.param.name); });

TEST(Safetensors, ReadsAnyOrderScalarsAndEmptyTensors) {
  const Result<SafetensorsHeader> got = parse(file_of(
      "{" + b + "," + a +
          R"(,"e":{"dtype":"F32","shape":[0,3],"data_offsets":[8,8]},"s":{"dtype":"U8","shape":[],"data_offsets":[12,13]}})",
      13));
  ASSERT_TRUE(got) << describe(got.error());
  ASSERT_EQ(got->entries.size(), 4u);
  EXPECT_EQ(got->entries[0].info.name, "a");
  EXPECT_EQ(element_count(got->entries[3].info), 1);
}

TEST(Safetensors, EveryTruncationOfARealFileIsRefused) {
  const std::string file =
      get(std::string(FTL_SOURCE_DIR) + "/tests/golden/data/mha_tied/adapter/adapter_model.safetensors");
  ASSERT_TRUE(parse(file));
  for (std::size_t length = 0; length < file.size(); length += 13)
    ASSERT_FALSE(parse(file.substr(0, length))) << length;
}

TEST(Safetensors, AFlippedHeaderByteNeverReachesBeyondTheFile) {
  const std::string good = file_of("{" + a + "," + b + "}", 12);
  for (std::size_t at = 0; at + 12 < good.size(); ++at) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string flipped = good;
      flipped[at] = static_cast<char>(flipped[at] ^ (1 << bit));
      const Result<SafetensorsHeader> got = parse(flipped);
      if (!got) continue;
      for (const SafetensorsEntry& entry : got->entries) ASSERT_LE(got->data_begin + entry.end, flipped.size());
    }
  }
}

TEST(Safetensors, OurWriterMakesTheReferenceWritersBytes) {
  const FreshDirectory directory;
  PosixFiles files;
  for (const char* model : {"mha_tied", "gqa_untied", "gqa_tied_headdim"}) {
    for (const char* name : {"/model/model.safetensors", "/adapter/adapter_model.safetensors"}) {
      const std::string path = std::string(FTL_SOURCE_DIR) + "/tests/golden/data/" + model + name;
      Result<std::unique_ptr<CheckpointReader>> reader = open_safetensors(files, path);
      ASSERT_TRUE(reader) << describe(reader.error());
      std::vector<TensorToWrite> tensors;
      for (const TensorInfo& tensor : (*reader)->tensors())
        tensors.push_back({tensor.name, tensor.dtype, tensor.shape, *(*reader)->bytes(tensor.name)});
      std::reverse(tensors.begin(), tensors.end());
      ASSERT_TRUE(write_safetensors(files, directory / "copy", tensors));
      EXPECT_EQ(get(directory / "copy"), get(path)) << path;
    }
  }
}

TEST(Safetensors, TheWriterPutsWideTypesFirstAndRefusesWrongSizes) {
  const std::array<std::byte, 8> bytes{};
  const std::span<const std::byte> all(bytes);
  const Result<SafetensorsImage> image = lay_out_safetensors(
      {{"a", DType::u8, {1}, all.first(1)}, {"b", DType::i64, {}, all}, {"c", DType::bf16, {2}, all.first(4)}}, {});
  ASSERT_TRUE(image);
  EXPECT_LT(image->header.find("\"b\""), image->header.find("\"c\""));
  EXPECT_LT(image->header.find("\"c\""), image->header.find("\"a\""));
  EXPECT_EQ(image->header.size() % 8, 0u);
  EXPECT_FALSE(lay_out_safetensors({{"a", DType::f32, {3}, all}}));
  EXPECT_FALSE(lay_out_safetensors({{"a", DType::f32, {2}, all}, {"a", DType::f32, {2}, all}}));
}

std::string claim_of(const std::string& size) { return R"({"metadata":{"total_size":)" + size + "},"; }

class Sharded : public testing::Test {
 protected:
  Sharded() {
    put(directory_ / "one.safetensors", file_of("{" + a + "}", 8));
    put(directory_ / "two.safetensors", file_of(R"({"b":{"dtype":"F64","shape":[1],"data_offsets":[0,8]}})", 8));
  }
  Result<std::unique_ptr<CheckpointReader>> open(const std::string& weight_map) {
    put(directory_ / "model.safetensors.index.json", R"({"metadata":{},"weight_map":)" + weight_map + "}");
    return open_safetensors(files_, directory_.path());
  }
  FreshDirectory directory_;
  PosixFiles files_;
};

TEST_F(Sharded, ReadsAcrossShardsAndNamesAnUnsupportedDType) {
  const auto got = open(R"({"a":"one.safetensors","b":"two.safetensors"})");
  ASSERT_TRUE(got) << describe(got.error());
  std::array<float, 2> values{};
  EXPECT_TRUE((*got)->read_f32("a", values));
  const Result<Done> wide = (*got)->read_f32("b", std::span(values).first(1));
  ASSERT_FALSE(wide);
  EXPECT_EQ(wide.error().kind, FaultKind::model_family_unsupported);
  EXPECT_THAT(wide.error().what, HasSubstr("F64"));
  EXPECT_FALSE((*got)->read_f32("absent", values));
}

TEST_F(Sharded, SaysWhichShardsOrTensorAreMissing) {
  const auto shard = open(R"({"a":"one.safetensors","b":"three.safetensors","c":"four.safetensors"})");
  ASSERT_FALSE(shard);
  EXPECT_EQ(shard.error().kind, FaultKind::checkpoint_incomplete);
  EXPECT_THAT(shard.error().what, HasSubstr("2 of the 3 shards"));
  EXPECT_THAT(shard.error().what, HasSubstr("four.safetensors, three.safetensors"));
  const auto tensor = open(R"({"a":"one.safetensors","z":"two.safetensors"})");
  ASSERT_FALSE(tensor);
  EXPECT_EQ(tensor.error().kind, FaultKind::checkpoint_incomplete);
  EXPECT_THAT(tensor.error().what, HasSubstr("\"z\""));
}

TEST_F(Sharded, ATensorThatLiesInTwoShardsIsRefusedNamingBoth) {
  put(directory_ / "two.safetensors", file_of("{" + a + "," + b + "}", 12));
  const auto got = open(R"({"a":"one.safetensors","b":"two.safetensors"})");
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().kind, FaultKind::safetensors_corrupt);
  EXPECT_THAT(got.error().what + got.error().where,
              testing::AllOf(HasSubstr("\"a\""), HasSubstr("one.safetensors"), HasSubstr("two.safetensors")));
  const auto twice = open(R"({"a":"one.safetensors","b":"two.safetensors","a":"two.safetensors"})");
  ASSERT_FALSE(twice);
  EXPECT_THAT(twice.error().what, HasSubstr("twice"));
}

TEST_F(Sharded, APointerOrHalfADownloadIsNamedAsSuch) {
  const std::string pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:abc\nsize 1\n";
  put(directory_ / "two.safetensors", pointer);
  const auto lfs = open(R"({"a":"one.safetensors","b":"two.safetensors"})");
  ASSERT_FALSE(lfs);
  EXPECT_THAT(lfs.error().what, HasSubstr("git-lfs pointer"));
  EXPECT_THAT(lfs.error().where, HasSubstr("two.safetensors"));
  put(directory_ / "two.safetensors", file_of("{" + b + "," + a + "}", 9));
  const auto half = open(R"({"b":"two.safetensors"})");
  ASSERT_FALSE(half);
  EXPECT_THAT(half.error().what, testing::AllOf(HasSubstr("truncated"), HasSubstr("12"), HasSubstr("9")));
  put(directory_ / "model.safetensors.index.json", pointer);
  const auto index = open_safetensors(files_, directory_.path());
  ASSERT_FALSE(index);
  EXPECT_THAT(index.error().what, HasSubstr("git-lfs pointer"));
}

TEST(ShardIndex, TellsTheSizeThatItClaims) {
  const std::string map = R"("weight_map":{"b":"x","a":"x","c":"y"}})";
  const auto whole = parse_shard_index(R"({"metadata":{"total_size":4096},)" + map, "index");
  ASSERT_TRUE(whole);
  EXPECT_EQ(whole->total_size, 4096);
  EXPECT_THAT(whole->shards.at("x"), testing::ElementsAre("a", "b"));
  EXPECT_EQ(parse_shard_index(R"({"metadata":{"total_size":4096.0},)" + map, "index")->total_size, 4096);
  for (const char* size : {"-1", "1e300", "\"4096\"", "null"})
    EXPECT_FALSE(parse_shard_index(claim_of(size) + map, "index")->total_size) << size;
}

TEST_F(Sharded, NeverLeavesTheModelsDirectory) {
  for (const char* name :
       {"../one.safetensors", "/etc/passwd", "..", ".", "", "x/one.safetensors", "one.safetensors\\u0000x"}) {
    const auto got = open(std::string(R"({"a":")") + name + "\"}");
    ASSERT_FALSE(got) << name;
    EXPECT_EQ(got.error().kind, FaultKind::safetensors_corrupt) << name;
  }
  for (const char* map : {"[]", "{}", "3", "{\"a\":3}", "{"}) EXPECT_FALSE(open(map)) << map;
}

}  // namespace
}  // namespace ftl
