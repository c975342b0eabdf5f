#include <array>
#include <filesystem>
#include <utility>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "checkpoints/manifest.h"
#include "checkpoints/training_state.h"
#include "tests/checkpoints/faulty_files.h"
#include "tests/checkpoints/fresh_directory.h"
#include "tests/checkpoints/some_tensors.h"

namespace ftl {
namespace {

using testing::HasSubstr;
using Extras = std::vector<std::pair<std::string, std::string>>;

const Extras extras = {{"adapter_config.json", "{}"}};

TrainerState state_of(std::int64_t step) { return {step, 1.25, "identity", "platform"}; }

Result<DurableCheckpoint> write(Files& files, const std::string& where, std::int64_t step, float salt,
                                std::int32_t attempt = 1) {
  SomeTensors tensors(salt);
  return write_checkpoint(files, where, attempt, "adapter", tensors.views(), state_of(step), extras);
}

TEST(DurableCheckpoint, ReadsBackWhatWasWritten) {
  const FreshDirectory directory;
  PosixFiles files;
  const auto written = write(files, directory / "checkpoints", 20, 7);
  ASSERT_TRUE(written) << describe(written.error());
  EXPECT_EQ(written->directory, directory / "checkpoints/step-20");
  SomeTensors wanted(7), got(0);
  const Result<TrainerState> state = read_checkpoint(files, written->directory, got.views());
  ASSERT_TRUE(state) << describe(state.error());
  EXPECT_TRUE(got == wanted);
  EXPECT_EQ(state->step, 20);
  EXPECT_EQ(state->best_eval_loss, 1.25);
  EXPECT_EQ(state->run_identity, "identity");
  EXPECT_EQ(state->platform, "platform");
  EXPECT_THAT(*files.list(directory / "checkpoints"), testing::ElementsAre("step-20"));
}

TEST(DurableCheckpoint, GivesSignsOfLifeWhileItIsWrittenVerifiedAndRead) {
  const FreshDirectory directory;
  int signs = 0;
  PosixFiles files([&] { ++signs; });
  const auto written = write(files, directory / "c", 20, 7);
  ASSERT_TRUE(written);
  EXPECT_GE(std::exchange(signs, 0), 5) << "for each file";
  EXPECT_TRUE(verify_checkpoint(files, written->directory));
  EXPECT_GE(std::exchange(signs, 0), 4) << "for each file that the manifest names";
  SomeTensors got;
  EXPECT_TRUE(read_checkpoint(files, written->directory, got.views()));
  EXPECT_GE(signs, 13) << "for each file, and each tensor";
}

TEST(DurableCheckpoint, ChecksumsAreTakenPieceByPiece) {
  const FreshDirectory directory;
  put(directory / "x", "");
  std::filesystem::resize_file(directory / "x", 2 * piece_bytes + 1);
  int signs = 0;
  PosixFiles files([&] { ++signs; });
  const Result<MappedFile> file = files.map(directory / "x");
  ASSERT_TRUE(file);
  const std::array<std::span<const std::byte>, 1> whole = {file->bytes};
  const std::array<std::span<const std::byte>, 2> halves = {file->bytes.first(99), file->bytes.subspan(99)};
  const std::string sum = checksum_of(whole, files);
  EXPECT_EQ(signs, 3);
  EXPECT_EQ(checksum_of(halves, files), sum);
}

TEST(DurableCheckpoint, AnyFlippedBitIsFoundBeforeAValueIsTouched) {
  const FreshDirectory directory;
  PosixFiles files;
  const std::string where = write(files, directory / "c", 20, 7)->directory;
  const std::vector<std::string> names = *files.list(where);
  for (const std::string& name : names) {
    const std::string good = get(where + "/" + name);
    for (std::size_t at = 0; at < good.size(); at += name == "manifest.json" ? 1 : 31) {
      std::string bad = good;
      bad[at] = static_cast<char>(bad[at] ^ 1);
      put(where + "/" + name, bad);
      SomeTensors got(3), wanted(7), untouched(3);
      const Result<TrainerState> state = read_checkpoint(files, where, got.views());
      if (state)
        EXPECT_TRUE(name == "manifest.json" && got == wanted)
            << name << " " << at;  // white space, or the attempt's number
      else
        EXPECT_TRUE(state.error().kind == FaultKind::checkpoint_corrupt && got == untouched)
            << name << " " << at << describe(state.error());
    }
    put(where + "/" + name, good.substr(0, good.size() / 2));
    EXPECT_FALSE(verify_checkpoint(files, where)) << name;
    put(where + "/" + name, good);
  }
  EXPECT_TRUE(verify_checkpoint(files, where));
}

TEST(DurableCheckpoint, OtherTensorsAreRefused) {
  const FreshDirectory directory;
  PosixFiles files;
  const std::string where = write(files, directory / "c", 20, 7)->directory;
  SomeTensors wider(0, 6);
  EXPECT_FALSE(read_checkpoint(files, where, wider.views()));
  SomeTensors fewer(0);
  const auto views = fewer.views();
  EXPECT_FALSE(read_checkpoint(files, where, std::span(views).first(2)));
}

struct HostileManifest {
  const char* name;
  const char* text;
};
void PrintTo(const HostileManifest& hostile, std::ostream* out) { *out << hostile.name; }
class HostileManifests : public testing::TestWithParam<HostileManifest> {};

TEST_P(HostileManifests, AreDamageAndNothingElse) {
  const FreshDirectory directory;
  PosixFiles files;
  const std::string where = write(files, directory / "c", 20, 7)->directory;
  put(directory / "secret", "x");
  put(where + "/manifest.json", GetParam().text);
  SomeTensors got(0);
  const Result<TrainerState> state = read_checkpoint(files, where, got.views());
  ASSERT_FALSE(state);
  EXPECT_EQ(state.error().kind, FaultKind::checkpoint_corrupt);
  const auto entries = list_checkpoints(files, directory / "c");
  ASSERT_TRUE(entries);
  EXPECT_TRUE(entries->at(0).damage);
}

#define FILES(list) R"({"schema":"ftlaunch.checkpoint/1","step":20,"attempt":1,"weights":"w","files":[)" list "]}"
#define SUM R"("xxh3_128":"00000000000000000000000000000000")"
INSTANTIATE_TEST_SUITE_P(
    Table, HostileManifests,
    testing::Values(
        HostileManifest{"empty", ""}, HostileManifest{"garbage", "\xff\x00{"}, HostileManifest{"list", "[]"},
        HostileManifest{"no_files", R"({"schema":"ftlaunch.checkpoint/1"})"},
        HostileManifest{"climbs", FILES(R"({"name":"../../secret","bytes":1,)" SUM "}")},
        HostileManifest{"absolute", FILES(R"({"name":"/etc/passwd","bytes":1,)" SUM "}")},
        HostileManifest{"dots", FILES(R"({"name":"..","bytes":1,)" SUM "}")},
        HostileManifest{"negative", FILES(R"({"name":"w","bytes":-1,)" SUM "}")},
        HostileManifest{"huge", FILES(R"({"name":"w","bytes":18446744073709551615,)" SUM "}")},
        HostileManifest{"no_checksum", FILES(R"({"name":"w","bytes":1})")},
        HostileManifest{"twice", FILES(R"({"name":"w","bytes":1,)" SUM R"(},{"name":"w","bytes":1,)" SUM "}")},
        HostileManifest{"lacks_optimizer", FILES(R"({"name":"w","bytes":1,)" SUM "}")},
        HostileManifest{
            "huge_step",
            R"({"schema":"ftlaunch.checkpoint/1","step":18446744073709551615,"attempt":1,"weights":"w","files":[]})"}),
    [](const auto& hostile) { return std::string(hostile.param.name); });

TEST(Catalog, ListsNewestFirstAndExplainsDamage) {
  const FreshDirectory directory;
  PosixFiles files;
  const std::string where = directory / "c";
  EXPECT_TRUE(list_checkpoints(files, where)->empty());
  for (std::int64_t step : {5, 100, 20}) ASSERT_TRUE(write(files, where, step, 1));
  ASSERT_TRUE(files.make_directories(where + "/.step-200.attempt-1.tmp"));
  for (const char* other : {"step-", "step-x", "step-007", "step--1", "step-99999999999999999999", "other"})
    ASSERT_TRUE(files.make_directories(where + "/" + other));
  put(where + "/step-20/optimizer.safetensors", "short");
  const auto entries = list_checkpoints(files, where);
  ASSERT_TRUE(entries);
  ASSERT_EQ(entries->size(), 3u);
  EXPECT_EQ(entries->at(0).checkpoint.step, 100);
  EXPECT_FALSE(entries->at(0).damage);
  ASSERT_TRUE(entries->at(1).damage);
  EXPECT_THAT(entries->at(1).damage->what, HasSubstr("5 bytes"));
  EXPECT_EQ(entries->at(2).checkpoint.step, 5);
}

TEST(Catalog, RetainsTheNewestCompleteOnesAndTheLeftoversOfThisAttempt) {
  const FreshDirectory directory;
  PosixFiles files;
  const std::string where = directory / "c";
  for (std::int64_t step : {1, 2, 3, 4}) ASSERT_TRUE(write(files, where, step, 1));
  put(where + "/step-4/optimizer.safetensors", "short");
  for (const char* leftover : {"/.step-9.attempt-1.tmp", "/.step-9.attempt-2.tmp"})
    ASSERT_TRUE(files.make_directories(where + leftover));
  ASSERT_TRUE(retain_checkpoints(files, where, 2, 2));
  EXPECT_THAT(*files.list(where), testing::ElementsAre(".step-9.attempt-2.tmp", "step-2", "step-3"));
  ASSERT_TRUE(retain_checkpoints(files, where, 0, 3));
  EXPECT_THAT(*files.list(where), testing::ElementsAre("step-2", "step-3"));
}

TEST(DurableCheckpoint, AnEqualOneOfAnEarlierAttemptIsKept) {
  const FreshDirectory directory;
  PosixFiles files;
  ASSERT_TRUE(write(files, directory / "c", 20, 7, 1));
  const std::string manifest = get(directory / "c/step-20/manifest.json");
  ASSERT_TRUE(write(files, directory / "c", 20, 7, 2));
  EXPECT_EQ(get(directory / "c/step-20/manifest.json"), manifest);
  EXPECT_THAT(*files.list(directory / "c"), testing::ElementsAre("step-20"));
}

// ---- a fault at every operation
struct FaultCase {
  const char* name;
  FaultyFiles::Fault fault;
  bool stays_broken;  // the process is dead, or the disk stays full
  bool loses_power;
  std::int64_t old_step;
};
void PrintTo(const FaultCase& fault, std::ostream* out) { *out << fault.name; }
class FaultAtEveryOperation : public testing::TestWithParam<FaultCase> {};

TEST_P(FaultAtEveryOperation, LeavesTheOldOrTheNewCheckpointWhole) {
  const FaultCase& test = GetParam();
  int operations = 0;
  for (int n = 0; n <= operations; ++n) {  // the last round has no fault
    const FreshDirectory directory;
    const std::string where = directory / "c";
    PosixFiles real;
    ASSERT_TRUE(write(real, where, test.old_step, 1, 1));
    FaultyFiles files(n, test.fault, test.stays_broken);
    const Result<DurableCheckpoint> written = write(files, where, 20, 2, 2);
    operations = std::max(operations, files.operations() + (written ? 0 : 1));
    if (test.loses_power) files.lose_power();

    const auto entries = list_checkpoints(real, where);
    ASSERT_TRUE(entries);
    const auto newest =
        std::find_if(entries->begin(), entries->end(), [](const CatalogEntry& entry) { return !entry.damage; });
    ASSERT_NE(newest, entries->end()) << "operation " << n;
    SomeTensors got(0), before(1), after(2);
    const Result<TrainerState> state = read_checkpoint(real, newest->checkpoint.directory, got.views());
    ASSERT_TRUE(state) << "operation " << n << ": " << describe(state.error());
    EXPECT_TRUE((got == before && state->step == test.old_step) || (got == after && state->step == 20))
        << "operation " << n;
    EXPECT_TRUE(!written || got == after) << "operation " << n;
    // The next attempt gets over whatever was left.
    ASSERT_TRUE(write(real, where, 20, 3, 3)) << "operation " << n;
    ASSERT_TRUE(retain_checkpoints(real, where, 1, 4));
    EXPECT_TRUE(verify_checkpoint(real, where + "/step-20"));
  }
  EXPECT_GT(operations, 8);
}

INSTANTIATE_TEST_SUITE_P(
    Table, FaultAtEveryOperation,
    testing::Values(FaultCase{"full_once", FaultyFiles::Fault::storage_full, false, false, 10},
                    FaultCase{"full_for_good", FaultyFiles::Fault::storage_full, true, false, 10},
                    FaultCase{"torn", FaultyFiles::Fault::torn_write, true, false, 10},
                    FaultCase{"torn_and_power_lost", FaultyFiles::Fault::torn_write, true, true, 10},
                    FaultCase{"same_step_full_once", FaultyFiles::Fault::storage_full, false, false, 20},
                    FaultCase{"same_step_full_for_good", FaultyFiles::Fault::storage_full, true, false, 20},
                    FaultCase{"same_step_torn", FaultyFiles::Fault::torn_write, true, false, 20},
                    FaultCase{"same_step_power_lost", FaultyFiles::Fault::torn_write, true, true, 20}),
    [](const auto& test) { return std::string(test.param.name); });

}  // namespace
}  // namespace ftl
