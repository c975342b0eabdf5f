// What kernel tests share: a CPU device with a stream, reproducible numbers, and operations run on owned vectors.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <map>
#include <memory>
#include <random>
#include <stdexcept>
#include <string>
#include <tuple>
#include <vector>

#include <gtest/gtest.h>

#include "kernels/device.h"

namespace ftl::testing {

using Floats = std::vector<float>;

// The device outlives the stream.
struct Cpu {
  explicit Cpu(int threads, const std::string& instruction_set = "") {
    auto made = make_cpu_device(instruction_set);
    if (!made) throw std::runtime_error(made.error().what);
    device = std::move(*made);
    auto started = device->make_stream(threads);
    if (!started) throw std::runtime_error(started.error().what);
    stream = std::move(*started);
  }
  const KernelTable& kernels() const { return device->kernels(); }
  std::unique_ptr<Device> device;
  std::unique_ptr<Stream> stream;
};

// Every instruction set this processor has.
inline std::vector<std::string> instruction_sets() {
  std::vector<std::string> found = {"baseline"};
  if (make_cpu_device("avx2").has_value()) found.push_back("avx2");
  return found;
}

// Gaussian numbers; the same for the same seed. Drawn once: a test that repeats an operation asks for the same millions
// again and again.
inline const Floats& numbers(std::int64_t count, unsigned seed, float deviation = 1) {
  static std::map<std::tuple<std::int64_t, unsigned, float>, Floats> drawn;
  const auto [found, is_new] = drawn.try_emplace({count, seed, deviation});
  if (is_new) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal(0, deviation);
    found->second.resize(static_cast<std::size_t>(count));
    for (float& value : found->second) value = normal(random);
  }
  return found->second;
}

// Largest |seen - expected| divided by the root mean square of expected: one number for one operand. What is smaller
// than `least` is taken to be what larger numbers leave when they cancel; its error is theirs.
inline double relative_error(const Floats& seen, const Floats& expected, double least = 0) {
  EXPECT_EQ(seen.size(), expected.size());
  double largest = 0, squares = 0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const double difference = std::abs(static_cast<double>(seen[i]) - static_cast<double>(expected[i]));
    largest = difference > largest || std::isnan(difference) ? difference : largest;
    squares += static_cast<double>(expected[i]) * static_cast<double>(expected[i]);
  }
  return largest / std::max(std::sqrt(squares / static_cast<double>(expected.size())), least);
}

}  // namespace ftl::testing
