#include "trainer/data/data_order.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <numeric>

#include "trainer/data/examples.h"

namespace ftl {
namespace {

constexpr std::uint64_t golden = 0x9E3779B97F4A7C15u;

constexpr std::uint64_t mix(std::uint64_t x) {
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
  return x ^ (x >> 31);
}

class Draws {
 public:
  explicit Draws(std::uint64_t key) : key_(key) {}
  std::uint64_t below(std::uint64_t n) {
    const std::uint64_t passed_over = (0 - n) % n;  // 2^64 mod n
    for (;;) {
      __extension__ using Wide = unsigned __int128;
      const Wide product = static_cast<Wide>(mix(key_ + ++count_ * golden)) * n;
      if (static_cast<std::uint64_t>(product) >= passed_over) return static_cast<std::uint64_t>(product >> 64);
    }
  }

 private:
  std::uint64_t key_;
  std::uint64_t count_ = 0;
};

}  // namespace

std::vector<std::int64_t> epoch_permutation(std::uint64_t seed, std::int64_t epoch, std::int64_t examples) {
  std::vector<std::int64_t> order(static_cast<std::size_t>(examples));
  std::iota(order.begin(), order.end(), 0);
  Draws draws(mix(mix(seed + golden) + static_cast<std::uint64_t>(epoch) * golden));
  for (std::size_t i = order.size(); i-- > 1;) std::swap(order[i], order[draws.below(i + 1)]);
  return order;
}

std::uint64_t selection_hash(std::uint64_t seed, std::int64_t index) {
  return mix(mix(seed + golden) ^ mix(static_cast<std::uint64_t>(index) + golden));
}

DataOrder::DataOrder(std::uint64_t seed, std::int64_t examples) : seed_(seed), examples_(examples) {
  assert(examples >= 1);
}

std::vector<std::int64_t> DataOrder::of_step(std::int64_t global_batch_size, std::int64_t step) {
  assert(global_batch_size >= 1 && step >= 0);
  std::vector<std::int64_t> chosen;
  chosen.reserve(static_cast<std::size_t>(global_batch_size));
  const std::int64_t first = step * global_batch_size;
  for (std::int64_t position = first; position < first + global_batch_size; ++position) {
    if (position / examples_ != epoch_) {
      epoch_ = position / examples_;
      permutation_ = epoch_permutation(seed_, epoch_, examples_);
    }
    chosen.push_back(permutation_[static_cast<std::size_t>(position % examples_)]);
  }
  return chosen;
}

std::vector<std::int64_t> examples_of_step(std::uint64_t seed, std::int64_t examples, std::int64_t global_batch_size,
                                           std::int64_t step) {
  return DataOrder(seed, examples).of_step(global_batch_size, step);
}

std::int64_t steps_of_run(const RunConfig& config, std::int64_t examples) {
  if (config.max_steps > 0) return config.max_steps;
  const double steps = config.num_train_epochs * static_cast<double>(examples) / config.global_batch_size;
  // 1.1 epochs of 10 examples are 11, not 11.000000000000002 and with it a step more.
  return std::max<std::int64_t>(1, static_cast<std::int64_t>(std::ceil(steps * (1 - 1e-12))));
}

}  // namespace ftl
