// Half-width floats as they lie in checkpoints. Widening is exact for every bit pattern; narrowing rounds to nearest,
// ties to even.
#pragma once

#include <cstdint>

namespace ftl {

float bf16_to_f32(std::uint16_t bits);
float f16_to_f32(std::uint16_t bits);    // IEEE 754 binary16, subnormals, infinities and NaN payloads included
std::uint16_t f32_to_bf16(float value);  // NaN stays NaN (made quiet), overflow becomes infinity

}  // namespace ftl
