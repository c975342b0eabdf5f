#include "trainer/loss_guard.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <vector>

namespace ftl {
namespace {

constexpr std::size_t looked_at = 64, few = 2, enough = 8;
constexpr double factor = 3, factor_of_few = 10, deviations = 10, least_nats = 1, normal_consistency = 1.4826;

double median_of(std::vector<double>& values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

}  // namespace

std::optional<SpikeLimit> spike_limit(std::span<const MetricsRecord> recent) {
  std::vector<double> losses;
  for (auto record = recent.rbegin(); record != recent.rend() && losses.size() < looked_at; ++record) {
    if (!record->evaluation && std::isfinite(record->loss)) losses.push_back(record->loss);
  }
  if (losses.size() < few) return std::nullopt;
  SpikeLimit known{.median = median_of(losses), .limit = 0, .losses = losses.size()};
  if (losses.size() < enough) {
    known.limit = std::max(factor_of_few * known.median, known.median + least_nats);
    return known;
  }
  for (double& loss : losses) loss = std::abs(loss - known.median);
  const double deviation = normal_consistency * median_of(losses);
  known.limit = std::max({factor * known.median, known.median + deviations * deviation, known.median + least_nats});
  return known;
}

bool all_finite(std::span<const float> values) {
  std::uint32_t largest = 0;  // without a branch in the loop, so it is vectorised
  for (const float value : values) largest = std::max(largest, std::bit_cast<std::uint32_t>(value) & 0x7fffffffu);
  return largest < 0x7f800000u;
}

}  // namespace ftl
