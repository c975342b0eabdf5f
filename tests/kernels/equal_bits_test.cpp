// The promise of equal bits: what is computed depends on the arguments, not on threads, repetition or where operands
// lie.
#include <cstring>

#include "tests/kernels/cpu_fixture.h"
#include "tests/kernels/operations.h"

namespace ftl {
namespace {

using testing::Cpu;
using testing::Floats;

bool same_bits(const std::vector<Floats>& a, const std::vector<Floats>& b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (a[i].size() != b[i].size() || std::memcmp(a[i].data(), b[i].data(), a[i].size() * sizeof(float)) != 0)
      return false;
  }
  return true;
}

class EqualBits : public ::testing::TestWithParam<testing::OperationCase> {};

TEST_P(EqualBits, ComeFromAnyNumberOfThreadsAnyRepetitionAndAnyAlignment) {
  for (const std::string& set : testing::instruction_sets()) {
    Cpu alone(1, set);
    const auto expected = GetParam().run(alone.kernels(), *alone.stream, 0);
    for (const int threads : {1, 2, 3, 5}) {
      Cpu cpu(threads, set);
      for (const int shift : {0, 0, 1, 3, 8}) {
        EXPECT_TRUE(same_bits(GetParam().run(cpu.kernels(), *cpu.stream, shift), expected))
            << set << ", " << threads << " threads, operands shifted by " << shift << " floats";
      }
    }
  }
}

// A row of a product is the same whether it is computed alone or among others: a leaf depends on itself alone.
TEST(EqualBitsOfAProduct, DoNotDependOnTheRowsBesideIt) {
  constexpr std::int64_t rows = 300, columns = 75, k = 700;
  for (const std::string& set : testing::instruction_sets()) {
    Cpu cpu(2, set);
    for (const bool transpose_b : {false, true}) {
      const Floats a = testing::numbers(rows * k, 1), b = testing::numbers(k * columns, 2);
      const auto product = [&](std::int64_t first, std::int64_t count) {
        Floats c(static_cast<std::size_t>(count * columns));
        const std::int64_t ldb = transpose_b ? k : columns;
        cpu.kernels().matmul(
            *cpu.stream,
            {a.data() + first * k, {b.data()}, c.data(), count, columns, k, k, ldb, columns, false, transpose_b, 1, 0});
        return c;
      };
      const Floats whole = product(0, rows);
      for (const auto& [first, count] : {std::pair{0, 1}, {7, 1}, {3, 6}, {11, 30}, {250, 50}}) {
        const auto at = whole.begin() + first * columns;
        EXPECT_TRUE(same_bits({product(first, count)}, {Floats(at, at + count * columns)}))
            << set << ", rows " << first << " to " << first + count;
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Table, EqualBits, ::testing::ValuesIn(testing::operation_cases()),
                         [](const auto& instance) { return instance.param.name; });

}  // namespace
}  // namespace ftl
