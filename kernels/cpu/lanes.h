// As many floats as one register holds, the exponential function and the hyperbolic tangent on them. A short tail is
// loaded into a full register, so an element's result never depends on where in a row it stands. Only <op>_cpu.cpp
// files include this.
#pragma once

#include <cstdint>
#include <cstring>

#include "kernels/cpu/instruction_set.h"

#if defined(__AVX2__) && defined(__FMA__)
#include <immintrin.h>
#endif

namespace ftl::FTL_CPU {

#if defined(__AVX2__) && defined(__FMA__)
constexpr std::int64_t lane_count = 8;
#else
constexpr std::int64_t lane_count = 4;
#endif
typedef float Lanes __attribute__((vector_size(lane_count * 4)));
typedef std::int32_t IntLanes __attribute__((vector_size(lane_count * 4)));

inline Lanes load(const float* from) {
  Lanes lanes;
  std::memcpy(&lanes, from, sizeof lanes);
  return lanes;
}
inline void store(float* to, Lanes lanes) { std::memcpy(to, &lanes, sizeof lanes); }
inline Lanes broadcast(float value) { return value - Lanes{}; }  // not +, which would turn -0 into 0
// Lanes `count` and above become `rest`.
inline Lanes load_some(const float* from, std::int64_t count, float rest) {
  Lanes lanes = broadcast(rest);
  std::memcpy(&lanes, from, static_cast<std::size_t>(count) * sizeof(float));
  return lanes;
}
inline void store_some(float* to, Lanes lanes, std::int64_t count) {
  std::memcpy(to, &lanes, static_cast<std::size_t>(count) * sizeof(float));
}

inline Lanes multiply_add(Lanes a, Lanes b, Lanes c) {
#if defined(__AVX2__) && defined(__FMA__)
  return (Lanes)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#else
  return a * b + c;
#endif
}

inline Lanes select(IntLanes condition, Lanes yes, Lanes no) {
  return (Lanes)((condition & (IntLanes)yes) | (~condition & (IntLanes)no));
}
// A NaN in x is passed over, as by x > m in a loop.
inline Lanes larger(Lanes x, Lanes m) { return select((IntLanes)(x > m), x, m); }

inline float sum_of(Lanes lanes) {
  float sum = 0;
  for (std::int64_t i = 0; i < lane_count; ++i) sum += lanes[i];
  return sum;
}
inline float largest_of(Lanes lanes) {
  float largest = lanes[0];
  for (std::int64_t i = 1; i < lane_count; ++i) largest = lanes[i] > largest ? lanes[i] : largest;
  return largest;
}

// -infinity if count is 0; NaNs are passed over.
inline float largest_in(const float* x, std::int64_t count) {
  constexpr float minus_infinity = -__builtin_inff();
  Lanes largest = broadcast(minus_infinity);
  std::int64_t i = 0;
  for (; i + lane_count <= count; i += lane_count) largest = larger(load(x + i), largest);
  if (i < count) largest = larger(load_some(x + i, count - i, minus_infinity), largest);
  return largest_of(largest);
}

// e^x within 2 units in the last place; 0 where the result would be subnormal, infinity above the range, NaN for NaN.
// x = n ln 2 + r with |r| <= ln 2 / 2 (ln 2 in two parts, after Cody and Waite), e^r by its Taylor polynomial of degree
// 7, whose first omitted term is below 2^-27 of the result.
inline Lanes exponential(Lanes x) {
  const IntLanes under = (IntLanes)(x < -87.33654f), over = (IntLanes)(x > 88.722839f);
  const Lanes in_range = select(under | over, Lanes{}, x);
  const Lanes rounder = broadcast(12582912.0f);  // 1.5 * 2^23: adding it rounds to an integer
  const Lanes shifted = multiply_add(in_range, broadcast(1.44269504f), rounder);
  const Lanes n = shifted - rounder;
  Lanes r = multiply_add(n, broadcast(-0.693359375f), in_range);
  r = multiply_add(n, broadcast(2.12194440e-4f), r);
  Lanes p = broadcast(1.0f / 5040);
  p = multiply_add(p, r, broadcast(1.0f / 720));
  p = multiply_add(p, r, broadcast(1.0f / 120));
  p = multiply_add(p, r, broadcast(1.0f / 24));
  p = multiply_add(p, r, broadcast(1.0f / 6));
  p = multiply_add(p, r, broadcast(0.5f));
  p = multiply_add(p * r, r, r) + 1.0f;
  // 2^n in two factors: 2^128 is no float, but e^88.7 is.
  const IntLanes exponent = (IntLanes)shifted - (IntLanes)rounder;
  const IntLanes half = exponent >> 1;
  const Lanes power = (Lanes)((half + 127) << 23), rest = (Lanes)((exponent - half + 127) << 23);
  const Lanes result = p * power * rest;
  return select(under, Lanes{}, select(over, broadcast(__builtin_inff()), result));
}

inline float exponential(float x) { return exponential(broadcast(x))[0]; }

// Within some units in the last place, also near 0, where 1 - 2 / (e^2x + 1) would have lost its digits: there the
// first five steps of Lambert's continued fraction x / (1 + x^2 / (3 + x^2 / (5 + ...))).
inline Lanes hyperbolic_tangent(Lanes x) {
  const Lanes square = x * x;
  const Lanes near_zero = x * ((square + 105.0f) * square + 945.0f) / ((15.0f * square + 420.0f) * square + 945.0f);
  const Lanes far = 1.0f - 2.0f / (exponential(x + x) + 1.0f);
  return select((IntLanes)(square < 0.36f), near_zero, far);
}

// cap tanh(x / cap)
inline Lanes capped_softly(Lanes x, float cap) { return cap * hyperbolic_tangent(x / cap); }
inline void cap_softly(float* x, std::int64_t count, float cap) {
  std::int64_t i = 0;
  for (; i + lane_count <= count; i += lane_count) store(x + i, capped_softly(load(x + i), cap));
  if (i < count) store_some(x + i, capped_softly(load_some(x + i, count - i, 0), cap), count - i);
}

}  // namespace ftl::FTL_CPU
