#include <array>
#include <cstdint>
#include <cstring>
#include <limits>

#include <gmock/gmock.h>

#include "tests/kernels/cpu_fixture.h"

namespace ftl {
namespace {

using ::testing::HasSubstr;

TEST(CpuDevice, SaysWhichInstructionSetItComputesWith) {
  for (const std::string& set : testing::instruction_sets()) {
    testing::Cpu cpu(1, set);
    EXPECT_EQ(cpu.device->traits().instruction_set, set);
    EXPECT_THAT(cpu.device->traits().name, HasSubstr(set));
    EXPECT_EQ(cpu.device->traits().place, Place::host);
  }
}

TEST(CpuDevice, RefusesAnInstructionSetTheProcessorLacks) {
  auto device = make_cpu_device("avx9000");
  ASSERT_FALSE(device.has_value());
  EXPECT_EQ(device.error().kind, FaultKind::backend_unavailable);
  EXPECT_THAT(device.error().what, HasSubstr("avx9000"));
}

TEST(CpuDevice, FillsEveryEntryOfItsTable) {
  for (const std::string& set : testing::instruction_sets()) {
    testing::Cpu cpu(1, set);
    std::array<void*, sizeof(KernelTable) / sizeof(void*)> entries;
    std::memcpy(entries.data(), &cpu.kernels(), sizeof entries);
    for (const void* entry : entries) EXPECT_NE(entry, nullptr);
  }
}

TEST(CpuDevice, AlignsMemoryTo64Bytes) {
  testing::Cpu cpu(1);
  for (const std::size_t bytes : {std::size_t{0}, std::size_t{1}, std::size_t{65}, std::size_t{1} << 20}) {
    auto buffer = cpu.device->allocate(bytes);
    ASSERT_TRUE(buffer.has_value());
    EXPECT_EQ(buffer->bytes(), bytes);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(buffer->data()) % 64, 0u);
  }
}

TEST(CpuDevice, RefusesMoreMemoryThanTheMachineHasWithoutOverflowing) {
  testing::Cpu cpu(1);
  constexpr std::size_t largest = std::numeric_limits<std::size_t>::max();
  for (const std::size_t bytes : {largest, largest - 62, largest / 2, largest / 4}) {
    auto buffer = cpu.device->allocate(bytes);
    ASSERT_FALSE(buffer.has_value());
    EXPECT_EQ(buffer.error().kind, FaultKind::host_out_of_memory);
    EXPECT_THAT(buffer.error().what, HasSubstr(std::to_string(bytes >> 20) + " MiB"));
  }
}

// What an operation says while it works, on a stream of one thread.
template <class Operation>
int pieces_of(const Operation& operation) {
  testing::Cpu cpu(1);
  int pieces = 0;
  cpu.stream->report_pieces_to([&] { ++pieces; });
  operation(cpu);
  return pieces;
}

// 1.2e9 multiplications of which rows alone would make one piece.
TEST(LongOperation, OfAProductGivesSignsOfLife) {
  constexpr std::int64_t m = 240, n = 4608, k = 1024;
  const testing::Floats a(m * k, 1.0F), b(n * k, 1.0F);
  testing::Floats c(m * n);
  const int pieces = pieces_of([&](testing::Cpu& cpu) {
    cpu.kernels().matmul(*cpu.stream, {.a = a.data(),
                                       .b = {.f32 = b.data()},
                                       .c = c.data(),
                                       .m = m,
                                       .n = n,
                                       .k = k,
                                       .lda = k,
                                       .ldb = k,
                                       .ldc = n,
                                       .transpose_a = false,
                                       .transpose_b = true,
                                       .alpha = 1,
                                       .beta = 0});
  });
  EXPECT_GE(pieces, 3);
  EXPECT_EQ(c, testing::Floats(m * n, static_cast<float>(k)));
}

// One head, which is one thread's: 10 blocks of its 4 x 4 are not above the diagonal.
TEST(LongOperation, OfAttentionGivesSignsOfLifeWithinAHead) {
  constexpr std::int64_t rows = 512, width = 8;
  const testing::Floats x(rows * width, 0.5F), sums(rows, 1.0F);
  testing::Floats dq(rows * width), dk(rows * width), dv(rows * width), scratch(rows * (1 + 2 * width));
  const int pieces = pieces_of([&](testing::Cpu& cpu) {
    cpu.kernels().attention_backward(*cpu.stream, {.q = x.data(),
                                                   .k = x.data(),
                                                   .v = x.data(),
                                                   .out = x.data(),
                                                   .log_sum_exp = sums.data(),
                                                   .d_out = x.data(),
                                                   .dq = dq.data(),
                                                   .dk = dk.data(),
                                                   .dv = dv.data(),
                                                   .scratch = scratch.data(),
                                                   .rows = rows,
                                                   .heads = 1,
                                                   .kv_heads = 1,
                                                   .head_dim = width,
                                                   .scale = 1});
  });
  EXPECT_GE(pieces, 10);
}

TEST(Buffer, GivesItsMemoryUpWhenMovedAndFreesWhatItHeldBefore) {
  testing::Cpu cpu(1);
  Buffer first = std::move(cpu.device->allocate(100)).value();
  Buffer second = std::move(cpu.device->allocate(200)).value();
  void* const data = second.data();
  first = std::move(second);  // AddressSanitizer sees a leak or a double free
  EXPECT_EQ(first.data(), data);
  EXPECT_EQ(first.bytes(), 200u);
  EXPECT_EQ(second.data(), nullptr);  // NOLINT: what a moved-from buffer is, is part of the contract
  Buffer& itself = first;
  first = std::move(itself);
  EXPECT_EQ(first.data(), data);
}

TEST(CpuDevice, CarriesBytesThereAndBack) {
  testing::Cpu cpu(1);
  const std::array<std::byte, 3> sent{std::byte{1}, std::byte{2}, std::byte{3}};
  std::array<std::byte, 3> received{};
  Buffer buffer = std::move(cpu.device->allocate(3)).value();
  ASSERT_TRUE(cpu.device->upload(*cpu.stream, buffer.data(), sent).has_value());
  ASSERT_TRUE(cpu.device->download(*cpu.stream, received, buffer.data()).has_value());
  EXPECT_EQ(sent, received);
  EXPECT_TRUE(cpu.stream->synchronize().has_value());
}

}  // namespace
}  // namespace ftl
