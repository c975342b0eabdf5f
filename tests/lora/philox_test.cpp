#include "lora/philox.h"

#include <gtest/gtest.h>

namespace ftl {
namespace {

// Known answers of the authors' library: Random123, tests/kat_vectors, "philox4x32 10".
struct KnownAnswer {
  const char* name;
  PhiloxCounter counter;
  PhiloxKey key;
  std::array<std::uint32_t, 4> expected;
};
class PhiloxKnownAnswers : public testing::TestWithParam<KnownAnswer> {};

TEST_P(PhiloxKnownAnswers, AreReproduced) {
  EXPECT_EQ(philox4x32(GetParam().counter, GetParam().key), GetParam().expected);
}

INSTANTIATE_TEST_SUITE_P(
    Random123, PhiloxKnownAnswers,
    testing::Values(KnownAnswer{"zeros", {0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
                    KnownAnswer{
                        "ones", {~0u, ~0u, ~0u, ~0u}, {~0u, ~0u}, {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
                    KnownAnswer{"pi",
                                {0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
                                {0xa4093822, 0x299f31d0},
                                {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}}),
    [](const auto& test) { return std::string(test.param.name); });

TEST(Philox, UniformNumbersStayInTheirInterval) {
  EXPECT_EQ(uniform_float(0), 0.0f);
  EXPECT_LT(uniform_float(~0u), 1.0f);
  EXPECT_GT(open_uniform(0), 0.0);
  EXPECT_LT(open_uniform(~0u), 1.0);
}

}  // namespace
}  // namespace ftl
