// The angles of rotary position embedding (Su et al. 2021) and the ways to stretch them beyond the positions that a
// model was first trained for. Sources: Hugging Face's modeling_rope_utils.py, whose results these are; linear: Chen et
// al. 2023; dynamic: NTK-aware scaling that grows with the sequence; llama3: Llama 3.1's reference; yarn: Peng et al.
// 2023, section 3.
#pragma once

#include <cstdint>
#include <span>

namespace ftl {

enum class RopeKind : std::uint8_t { plain, linear, dynamic, llama3, yarn };

struct RopeParameters {
  RopeKind kind = RopeKind::plain;
  double theta = 10000;
  double factor = 1;                     // how far positions are stretched; every kind but plain
  std::int64_t original_positions = 0;   // before they were stretched; dynamic, llama3 and yarn
  double low_frequency_factor = 1;       // llama3: turns in original_positions below which a pair is slowed in full,
  double high_frequency_factor = 4;      // and above which it is not; above the other one
  double beta_fast = 32, beta_slow = 1;  // yarn: the same, the other way round
  bool truncate = true;                  // yarn: the bounds between pairs are whole pairs
  double magnitude = 1;                  // yarn: of cosines and sines ("attention_factor")
  bool operator==(const RopeParameters&) const = default;
};

// inverse[i] = radians a position of pair (i, i + head_dim/2); inverse.size() is head_dim / 2. `length`: tokens of the
// sequence, which the dynamic kind alone looks at.
void rope_frequencies(const RopeParameters& rope, std::int64_t length, std::span<double> inverse);

}  // namespace ftl
