#include "checkpoints/convert.h"

#include <bit>
#include <cmath>
#include <cstdint>

#include <gtest/gtest.h>

namespace ftl {
namespace {

// The definition of a binary float, in arithmetic that is exact here: another way than the shifts under test.
double value_of(std::uint32_t bits, int exponent_bits, int fraction_bits) {
  const int bias = (1 << (exponent_bits - 1)) - 1;
  const double sign = (bits >> (exponent_bits + fraction_bits)) & 1 ? -1 : 1;
  const int exponent = static_cast<int>(bits >> fraction_bits) & ((1 << exponent_bits) - 1);
  const double fraction = bits & ((1u << fraction_bits) - 1);
  if (exponent == 0) return sign * std::ldexp(fraction, 1 - bias - fraction_bits);
  return sign * std::ldexp(fraction + (1u << fraction_bits), exponent - bias - fraction_bits);
}

TEST(Convert, WidensEveryHalfExactly) {
  for (std::uint32_t bits = 0; bits < 65536; ++bits) {
    const auto half = static_cast<std::uint16_t>(bits);
    const float f16 = f16_to_f32(half), bf16 = bf16_to_f32(half);
    if ((bits & 0x7c00) == 0x7c00) {
      ASSERT_EQ(std::isnan(f16), (bits & 0x3ff) != 0) << bits;
      ASSERT_EQ(std::isinf(f16), (bits & 0x3ff) == 0) << bits;
    } else {
      ASSERT_EQ(f16, value_of(bits, 5, 10)) << bits;
    }
    if ((bits & 0x7f80) == 0x7f80) {
      ASSERT_EQ(std::isnan(bf16), (bits & 0x7f) != 0) << bits;
      ASSERT_EQ(std::isinf(bf16), (bits & 0x7f) == 0) << bits;
    } else {
      ASSERT_EQ(bf16, value_of(bits, 8, 7)) << bits;
    }
    ASSERT_EQ(std::signbit(f16), bits >= 0x8000) << bits;
    ASSERT_EQ(std::signbit(bf16), bits >= 0x8000) << bits;
  }
}

TEST(Convert, NarrowsEveryWidenedValueBackToItself) {
  for (std::uint32_t bits = 0; bits < 65536; ++bits) {
    const auto half = static_cast<std::uint16_t>(bits);
    const float wide = bf16_to_f32(half);
    if (std::isnan(wide))
      ASSERT_TRUE(std::isnan(bf16_to_f32(f32_to_bf16(wide)))) << bits;
    else
      ASSERT_EQ(f32_to_bf16(wide), half);
  }
}

TEST(Convert, NarrowsToTheNearestAndTiesToEven) {
  for (std::uint32_t bits = 0; bits + 1 < 0x7f80; ++bits) {
    const std::uint32_t low = bits << 16;
    const auto narrowed = [&](std::uint32_t rest) { return f32_to_bf16(std::bit_cast<float>(low | rest)); };
    ASSERT_EQ(narrowed(0x7fff), bits);
    ASSERT_EQ(narrowed(0x8000), bits % 2 == 0 ? bits : bits + 1);
    ASSERT_EQ(narrowed(0x8001), bits + 1);
  }
  EXPECT_TRUE(std::isinf(bf16_to_f32(f32_to_bf16(3.4e38f))));
}

}  // namespace
}  // namespace ftl
