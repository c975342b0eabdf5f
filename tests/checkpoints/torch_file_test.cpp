#include "checkpoints/torch_file.h"

#include <cstring>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "checkpoints/state_dict_pickle.h"
#include "checkpoints/zip_directory.h"
#include "tests/checkpoints/fresh_directory.h"
#include "tests/checkpoints/zip_archive.h"

namespace ftl {
namespace {

using testing::HasSubstr;

std::span<const std::byte> bytes_of(const std::string& text) { return std::as_bytes(std::span(text)); }

std::string short_text(const std::string& text) {
  const auto length = static_cast<std::uint32_t>(text.size());
  return "X" + std::string(reinterpret_cast<const char*>(&length), 4) + text;
}
// A dictionary of one tensor, as torch.save pickles it; numbers below 256.
struct OneTensor {
  std::string name = "w", type = "FloatStorage", key = "0";
  int elements = 6, offset = 0;
  std::vector<int> shape = {2, 3}, strides = {3, 1};

  static std::string number(int value) { return std::string("K") + static_cast<char>(value); }
  static std::string tuple(const std::vector<int>& values) {
    std::string text = "(";
    for (const int value : values) text += number(value);
    return text + "t";
  }
  std::string pickle() const {
    return "\x80\x02}(" + short_text(name) + "ctorch._utils\n_rebuild_tensor_v2\n((" + short_text("storage") +
           "ctorch\n" + type + "\n" + short_text(key) + short_text("cpu") + number(elements) + "tQ" + number(offset) +
           tuple(shape) + tuple(strides) + "\x89" + "ccollections\nOrderedDict\n)RtRu.";
  }
  std::string archive(std::size_t storage_bytes = 24) const {
    return zip_archive(
        {{"m/data.pkl", pickle()}, {"m/byteorder", "little"}, {"m/data/0", std::string(storage_bytes, 'x')}});
  }
};

Result<std::vector<TorchTensor>> parse(const std::string& file) { return parse_torch_file(bytes_of(file), "m.pth"); }

TEST(TorchFile, FindsATensorWhereItLies) {
  const std::string file = OneTensor{}.archive();
  const auto got = parse(file);
  ASSERT_TRUE(got) << describe(got.error());
  ASSERT_EQ(got->size(), 1u);
  EXPECT_EQ(got->front().info.name, "w");
  EXPECT_EQ(got->front().info.dtype, DType::f32);
  EXPECT_THAT(got->front().info.shape, testing::ElementsAre(2, 3));
  EXPECT_EQ(got->front().bytes.size(), 24u);
  EXPECT_EQ(std::memcmp(got->front().bytes.data(), std::string(24, 'x').data(), 24), 0);
}

TEST(TorchFile, EveryTruncationIsRefused) {
  const std::string file = OneTensor{}.archive();
  for (std::size_t length = 0; length < file.size(); ++length) ASSERT_FALSE(parse(file.substr(0, length))) << length;
}

TEST(TorchFile, AFlippedBitNeverReachesBeyondTheFile) {
  const std::string good = OneTensor{}.archive();
  for (std::size_t at = 0; at < good.size(); ++at) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string flipped = good;
      flipped[at] = static_cast<char>(flipped[at] ^ (1 << bit));
      const auto got = parse(flipped);
      if (!got) continue;
      for (const TorchTensor& tensor : *got) {
        ASSERT_GE(tensor.bytes.data(), bytes_of(flipped).data());
        ASSERT_LE(tensor.bytes.data() + tensor.bytes.size(), bytes_of(flipped).data() + flipped.size());
      }
    }
  }
}

struct BadFile {
  const char* name;
  std::string file;
  std::vector<const char*> words;
};
void PrintTo(const BadFile& bad, std::ostream* out) { *out << bad.name; }
class BadTorchFile : public testing::TestWithParam<BadFile> {};
TEST_P(BadTorchFile, IsRefusedByName) {
  const auto got = parse(GetParam().file);
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().where, "m.pth");
  for (const char* word : GetParam().words) EXPECT_THAT(got.error().what, HasSubstr(word));
}

std::string with_pickle(const std::string& pickle) { return zip_archive({{"m/data.pkl", pickle}}); }

INSTANTIATE_TEST_SUITE_P(
    Table, BadTorchFile,
    testing::Values(
        BadFile{"git_lfs", "version https://git-lfs.github.com/spec/v1\noid sha256:abc\nsize 1\n", {"git-lfs pointer"}},
        BadFile{"legacy", std::string("\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.", 15), {"legacy"}},
        BadFile{"no_archive", "hello, world", {"12 bytes"}},
        BadFile{"no_pickle", zip_archive({{"m/x", ""}, {"y", ""}}), {"2 members", "data.pkl"}},
        BadFile{"torch_script", zip_archive({{"m/data.pkl", "."}, {"m/constants.pkl", ""}}), {"TorchScript"}},
        BadFile{"big_endian", zip_archive({{"m/data.pkl", "."}, {"m/byteorder", "big"}}), {"big"}},
        BadFile{"compressed", zip_archive({{"m/data.pkl", "x"}}, {.method = 8}), {"compressed", "method 8"}},
        BadFile{"member_twice", zip_archive({{"m/data.pkl", "x"}, {"m/data.pkl", "y"}}), {"m/data.pkl", "twice"}},
        BadFile{"system",
                with_pickle("\x80\x02"
                            "cos\nsystem\n" +
                            short_text("true") + "\x85R."),
                {"os.system", "byte 2"}},
        BadFile{"eval",
                with_pickle("\x80\x02"
                            "c__builtin__\neval\n)R."),
                {"__builtin__.eval"}},
        BadFile{"double", OneTensor{.type = "DoubleStorage"}.archive(48), {"torch.DoubleStorage"}},
        BadFile{"opcode", with_pickle("\x80\x02}\x81."), {"0x81", "byte 3"}},
        BadFile{"instance", with_pickle("\x80\x02(ios\nsystem\n."), {"0x69"}},
        BadFile{"protocol", with_pickle("\x80\x05}."), {"protocol 5"}},
        BadFile{"no_dictionary", with_pickle("\x80\x02K\x01."), {"no dictionary"}},
        BadFile{"not_a_tensor", with_pickle("\x80\x02}" + short_text("epoch") + "K\x01s."), {"epoch"}},
        BadFile{"never_remembered", with_pickle("\x80\x02h\x07."), {"7"}},
        BadFile{"empty_stack", with_pickle("\x80\x02s."), {"stack"}},
        BadFile{"many_marks", with_pickle("\x80\x02" + std::string(100000, '(')), {"65536 marks"}},
        BadFile{"deep_stack", with_pickle("\x80\x02" + std::string(100000, 'N')), {"65536"}},
        BadFile{"text_beyond_end", with_pickle("\x80\x02X\xff\xff\xff\x7f."), {"2147483647"}},
        BadFile{"no_storage", OneTensor{.key = "9"}.archive(), {"m/data/9"}},
        BadFile{"short_storage", OneTensor{}.archive(20), {"20", "6"}},
        BadFile{"beyond_storage", OneTensor{.offset = 1}.archive(), {"6 elements"}},
        BadFile{"transposed", OneTensor{.shape = {3, 2}, .strides = {1, 3}}.archive(), {"strided", "1, 3"}},
        BadFile{"expanded", OneTensor{.shape = {2, 3}, .strides = {0, 1}}.archive(), {"strided", "0, 1"}}),
    [](const auto& bad) { return std::string(bad.param.name); });

TEST(TorchFile, ViewsOfOneStorageAreReadWhereTheyBegin) {
  const std::string file = OneTensor{.offset = 2, .shape = {1, 4}, .strides = {77, 1}}.archive();
  const auto got = parse(file);
  ASSERT_TRUE(got) << describe(got.error());
  EXPECT_EQ(got->front().bytes.size(), 16u);
  EXPECT_EQ(reinterpret_cast<const char*>(got->front().bytes.data()) - file.data(),
            static_cast<std::ptrdiff_t>(file.rfind(std::string(24, 'x')) + 8));
}

TEST(ZipDirectory, ReadsZip64) {
  const std::string file = zip_archive({{"a", "one"}, {"b", "three"}}, {.zip64 = true});
  const auto got = read_zip_directory(bytes_of(file), "z");
  ASSERT_TRUE(got) << describe(got.error());
  ASSERT_EQ(got->size(), 2u);
  EXPECT_EQ(got->back().bytes.size(), 5u);
  for (std::size_t length = 0; length < file.size(); ++length)
    ASSERT_FALSE(read_zip_directory(bytes_of(file.substr(0, length)), "z")) << length;
}

}  // namespace
}  // namespace ftl
