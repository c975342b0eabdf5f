#include "comm/flight_recorder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <thread>

#include "comm/ring_layout.h"

namespace ftl {
namespace {

namespace fs = std::filesystem;

class FlightRecorderFile : public testing::Test {
 protected:
  FlightRecorderFile() {
    std::string pattern = (fs::temp_directory_path() / "ftl-ring-XXXXXX").string();
    directory_ = ::mkdtemp(pattern.data());
    path_ = directory_ + "/attempt-1/rank-2.ring";
  }
  ~FlightRecorderFile() override { fs::remove_all(directory_); }
  FlightRecorder create(std::uint32_t capacity = 16) {
    Result<FlightRecorder> recorder = FlightRecorder::create(path_, Rank{2}, Attempt{3}, capacity);
    EXPECT_TRUE(recorder);
    return std::move(*recorder);
  }
  void overwrite(std::size_t offset, const void* bytes, std::size_t count) {
    std::fstream file(path_, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(static_cast<std::streamoff>(offset));
    file.write(static_cast<const char*>(bytes), static_cast<std::streamsize>(count));
  }
  std::string directory_, path_;
};

TimePoint at(std::int64_t nanoseconds) { return {Duration(nanoseconds)}; }
CollectiveSignature exact_sum_at(std::int64_t step) { return {Operation::exact_sum, DType::f32, 184321, 0, step}; }

TEST_F(FlightRecorderFile, TellsAReaderWhatTheRankDidAfterTheRankIsGone) {
  {
    FlightRecorder recorder = create();
    recorder.enter(Phase::backward, Step{118}, at(10));
    recorder.heartbeat(at(20));
    const std::uint64_t first = recorder.collective_started(exact_sum_at(118), at(30));
    recorder.collective_completed(first, at(40));
    recorder.collective_started(exact_sum_at(119), at(50));
    recorder.fault_fired(at(60));
  }
  const Result<RingSnapshot> seen = read_ring(path_, 100);
  ASSERT_TRUE(seen) << describe(seen.error());
  EXPECT_EQ(seen->rank, Rank{2});
  EXPECT_EQ(seen->attempt, Attempt{3});
  EXPECT_EQ(seen->pid, ::getpid());
  EXPECT_EQ(seen->entries, 5u);
  EXPECT_EQ(seen->phase, Phase::backward);
  EXPECT_EQ(seen->step, 118);
  EXPECT_EQ(seen->collectives_started, 2u);
  EXPECT_EQ(seen->collectives_completed, 1u);
  EXPECT_EQ(seen->heartbeat, 1u);
  EXPECT_EQ(seen->last_progress, at(60));
  ASSERT_EQ(seen->recent.size(), 5u);
  EXPECT_EQ(seen->recent[2].kind, EntryKind::collective_completed);
  EXPECT_EQ(seen->recent[2].collective, 1u);
  EXPECT_EQ(seen->recent[3].signature, exact_sum_at(119));
  EXPECT_EQ(seen->recent[4].kind, EntryKind::fault_fired);
  EXPECT_EQ(seen->recent[4].when, at(60));
}

TEST_F(FlightRecorderFile, KeepsTheNewestEntriesWhenItHasGoneRound) {
  FlightRecorder recorder = create(4);
  for (int step = 1; step <= 11; ++step) recorder.enter(Phase::forward, Step{step}, at(step));
  const Result<RingSnapshot> all = read_ring(path_, 100);
  ASSERT_TRUE(all);
  ASSERT_EQ(all->recent.size(), 4u);
  EXPECT_EQ(all->recent.front().step, 8);
  EXPECT_EQ(all->recent.back().sequence, 11u);
  EXPECT_EQ(read_ring(path_, 2)->recent.front().step, 10);
  EXPECT_EQ(recorder.snapshot().recent.size(), 4u);
}

TEST_F(FlightRecorderFile, ReplacesTheRingOfAnEarlierProcess) {
  FlightRecorder old = create();
  old.enter(Phase::reduce, Step{7}, at(1));
  FlightRecorder fresh = create();
  EXPECT_EQ(read_ring(path_, 10)->entries, 0u);
  old.enter(Phase::reduce, Step{8}, at(2));  // goes to the file that has no name any more
  EXPECT_EQ(read_ring(path_, 10)->entries, 0u);
}

TEST_F(FlightRecorderFile, LeavesOutEntriesThatAreTornOrNotOurs) {
  {
    FlightRecorder recorder = create();
    for (int step = 1; step <= 3; ++step) recorder.enter(Phase::forward, Step{step}, at(step));
  }
  const std::uint64_t zero = 0;
  overwrite(sizeof(ring::Header) + sizeof(ring::Entry), &zero, sizeof(zero));  // entry 2: as if it was being written
  const std::uint8_t unknown_kind = 99;
  overwrite(sizeof(ring::Header) + 2 * sizeof(ring::Entry) + 56, &unknown_kind, 1);
  const Result<RingSnapshot> seen = read_ring(path_, 100);
  ASSERT_TRUE(seen);
  EXPECT_EQ(seen->entries, 3u);
  ASSERT_EQ(seen->recent.size(), 1u);
  EXPECT_EQ(seen->recent[0].step, 1);
}

TEST_F(FlightRecorderFile, RefusesWhatIsNotARing) {
  EXPECT_FALSE(read_ring(path_, 1)) << "no file";
  EXPECT_FALSE(read_ring(directory_, 1)) << "a directory";
  struct Damage {
    const char* name;
    std::size_t offset;
    std::uint32_t value;
    const char* says;
  };
  for (const Damage& damage :
       {Damage{"magic", 0, 1, "magic"}, Damage{"version", 8, 2, "version is 2"},
        Damage{"capacity", 12, 17, "17 entries"}, Damage{"no capacity", 12, 0, "0 entries"},
        Damage{"huge capacity", 12, 0xffffffff, "4294967295 entries"}, Damage{"entry size", 28, 65, "65 bytes"}}) {
    { FlightRecorder recorder = create(); }
    overwrite(damage.offset, &damage.value, sizeof(damage.value));
    const Result<RingSnapshot> seen = read_ring(path_, 1);
    ASSERT_FALSE(seen) << damage.name;
    EXPECT_THAT(seen.error().what, testing::HasSubstr(damage.says));
  }
  for (const std::size_t size : {std::size_t{0}, std::size_t{127}, std::size_t{128}, ring::file_bytes(16) - 1}) {
    { FlightRecorder recorder = create(); }
    fs::resize_file(path_, size);
    EXPECT_FALSE(read_ring(path_, 1)) << size;
  }
}

TEST_F(FlightRecorderFile, SurvivesEveryValueOfEveryHeaderByte) {
  for (std::size_t offset = 64; offset < sizeof(ring::Header); ++offset) {
    {
      FlightRecorder recorder = create();
      recorder.enter(Phase::data, Step{1}, at(1));
    }
    const std::uint8_t all_ones = 0xff;
    overwrite(offset, &all_ones, 1);
    const Result<RingSnapshot> seen = read_ring(path_, SIZE_MAX);
    ASSERT_TRUE(seen);
    EXPECT_LE(seen->recent.size(), 16u);
  }
}

TEST_F(FlightRecorderFile, CannotBeCreatedWhereNothingCanBeWritten) {
  const Result<FlightRecorder> in_a_file = FlightRecorder::create("/proc/version/rank-0.ring", Rank{0}, Attempt{1});
  ASSERT_FALSE(in_a_file);
  EXPECT_EQ(in_a_file.error().kind, FaultKind::storage_failed);
}

TEST_F(FlightRecorderFile, IsReadConsistentlyWhileItIsWritten) {
  FlightRecorder recorder = create(8);
  std::atomic<bool> stop{false};
  std::thread writer([&] {
    for (std::int64_t n = 1; !stop; ++n)
      recorder.collective_started({Operation::all_reduce, DType::i64, static_cast<std::uint64_t>(n), 0, n}, at(n));
  });
  std::uint64_t whole = 0;
  for (int i = 0; i < 2000 || whole == 0; ++i) {
    const Result<RingSnapshot> seen = i % 2 ? read_ring(path_, 8) : Result<RingSnapshot>(recorder.snapshot());
    for (const RecordedEntry& entry : seen->recent) {
      ASSERT_EQ(entry.signature.count, entry.sequence);
      ASSERT_EQ(entry.when, at(static_cast<std::int64_t>(entry.sequence)));
      ASSERT_EQ(entry.signature.step, static_cast<std::int64_t>(entry.collective));
      ++whole;
    }
  }
  stop = true;
  writer.join();
}

TEST(CollectiveSignature, IsDescribedAsAReaderOfAVerdictSeesIt) {
  EXPECT_EQ(describe(exact_sum_at(118)), "exact_sum f32 x 184,321 at step 118");
  EXPECT_EQ(describe({Operation::broadcast, DType::i32, 7, 3, 0}), "broadcast i32 x 7 in group 3 at step 0");
}

TEST(Phase, HasANameThatLeadsBackToIt) {
  for (int p = 0; p <= static_cast<int>(Phase::finalize); ++p)
    EXPECT_EQ(phase_named(name_of(static_cast<Phase>(p))), static_cast<Phase>(p));
  EXPECT_EQ(phase_named("sideways"), std::nullopt);
  EXPECT_EQ(name_of(Operation::barrier), "barrier");
}

}  // namespace
}  // namespace ftl
