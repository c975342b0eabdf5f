// Which example is used when, as a pure function of (seed, epoch). Nothing here depends on the standard library's
// random numbers, so every machine and every resumed run sees the same order.
//
//   mix(x):        the finaliser of SplitMix64:
//                  x ^= x >> 30; x *= 0xBF58476D1CE4E5B9; x ^= x >> 27; x *= 0x94D049BB133111EB; x ^= x >> 31
//   key(seed, e):  mix(mix(seed + G) + e * G), G = 0x9E3779B97F4A7C15, all modulo 2^64
//   draw k of key: mix(key + (k + 1) * G), k = 0, 1, ...
//   below(n):      the high 64 bits of draw * n; a draw where the product's low 64 bits are below (2^64 mod n) is
//                  passed over (Lemire: unbiased)
//   permutation:   p = 0..n-1; for i = n-1 down to 1: swap(p[i], p[below(i + 1)])   (Fisher-Yates)
#pragma once

#include <cstdint>
#include <vector>

namespace ftl {

std::vector<std::int64_t> epoch_permutation(std::uint64_t seed, std::int64_t epoch, std::int64_t examples);

// The hash that validation examples are chosen by: mix(mix(seed + G) ^ mix(index + G)).
std::uint64_t selection_hash(std::uint64_t seed, std::int64_t index);

// The same order step by step; keeps the permutation of the epoch it is in. Not thread-safe, one per user.
class DataOrder {
 public:
  DataOrder(std::uint64_t seed, std::int64_t examples);  // examples >= 1
  // As examples_of_step (examples.h). Cheap when steps ascend.
  std::vector<std::int64_t> of_step(std::int64_t global_batch_size, std::int64_t step);

 private:
  std::uint64_t seed_;
  std::int64_t examples_;
  std::int64_t epoch_ = -1;
  std::vector<std::int64_t> permutation_;  // of epoch_
};

}  // namespace ftl
