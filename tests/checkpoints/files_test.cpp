#include "checkpoints/files.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/checkpoints/fresh_directory.h"

namespace ftl {
namespace {

std::span<const std::byte> bytes_of(std::string_view text) { return std::as_bytes(std::span(text)); }

TEST(PosixFiles, WritesPartsInOrderAndMapsThemBack) {
  const FreshDirectory directory;
  PosixFiles files;
  const std::array<std::span<const std::byte>, 3> parts = {bytes_of("ab"), bytes_of(""), bytes_of("cd")};
  ASSERT_TRUE(files.write(directory / "x", parts));
  EXPECT_EQ(*files.read(directory / "x", 4), "abcd");
  EXPECT_EQ(files.map(directory / "x")->bytes.size(), 4u);
  ASSERT_TRUE(files.write(directory / "x", std::span(parts).first(1)));
  EXPECT_EQ(get(directory / "x"), "ab");
}

TEST(PosixFiles, GiveASignOfLifeForEveryPieceThatTheyWrite) {
  const FreshDirectory directory;
  int signs = 0;
  PosixFiles files([&] { ++signs; });
  const std::vector<std::byte> half(piece_bytes / 2);
  const std::vector<std::span<const std::byte>> parts(5, half);
  ASSERT_TRUE(files.write(directory / "x", parts));
  EXPECT_EQ(signs, 3) << "two whole pieces and the rest";
}

TEST(PosixFiles, RefusesAFileAboveTheLimitInsteadOfCuttingIt) {
  const FreshDirectory directory;
  put(directory / "x", "abcde");
  const Result<std::string> got = PosixFiles().read(directory / "x", 4);
  ASSERT_FALSE(got);
  EXPECT_THAT(got.error().what, testing::AllOf(testing::HasSubstr("5"), testing::HasSubstr("4")));
}

TEST(PosixFiles, NeverWaitsForAPipeOrReadsADirectory) {
  const FreshDirectory directory;
  ASSERT_EQ(::mkfifo((directory / "pipe").c_str(), 0600), 0);
  for (const std::string& path : {directory / "pipe", directory.path(), directory / "absent"}) {
    EXPECT_FALSE(PosixFiles().read(path, 100));
    EXPECT_FALSE(PosixFiles().map(path));
  }
}

// /proc refuses whatever would be made in it, and root too.
TEST(PosixFiles, CallAPathThatIsNotThereAMistakeWhenReadingAndAFailureOfStorageWhenWriting) {
  PosixFiles files;
  EXPECT_EQ(files.read("/proc/nothing", 1).error().kind, FaultKind::file_not_found);
  EXPECT_EQ(files.map("/proc/nothing").error().kind, FaultKind::file_not_found);
  EXPECT_EQ(files.list("/proc/nothing").error().kind, FaultKind::file_not_found);
  const std::array<std::span<const std::byte>, 1> parts = {bytes_of("x")};
  EXPECT_EQ(files.write("/proc/nothing", parts).error().kind, FaultKind::storage_failed);
  EXPECT_EQ(files.make_directories("/proc/nothing").error().kind, FaultKind::storage_failed);
  EXPECT_EQ(files.rename("/proc/nothing", "/proc/nowhere").error().kind, FaultKind::storage_failed);
  EXPECT_EQ(files.sync_directory("/proc/nothing").error().kind, FaultKind::storage_failed);
}

TEST(PosixFiles, MapsAnEmptyFileAsNothing) {
  const FreshDirectory directory;
  put(directory / "x", "");
  const Result<MappedFile> got = PosixFiles().map(directory / "x");
  ASSERT_TRUE(got);
  EXPECT_TRUE(got->bytes.empty());
}

// A limit on the size of files ends a write as a full disk does, in the middle.
TEST(PosixFiles, LeavesNoHalfFileWhenAWriteFails) {
  const FreshDirectory directory;
  const pid_t child = ::fork();
  if (child == 0) {
    ::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{1000, 1000};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    const std::string text(5000, 'x');
    const std::array<std::span<const std::byte>, 1> parts = {bytes_of(text)};
    ::_exit(PosixFiles().write(directory / "x", parts) ? 1 : 0);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_FALSE(std::filesystem::exists(directory / "x"));
}

TEST(WriteAtomically, LeavesOneFileWithTheNewText) {
  const FreshDirectory directory;
  PosixFiles files;
  ASSERT_TRUE(write_atomically(files, directory / "x", "old"));
  ASSERT_TRUE(write_atomically(files, directory / "x", "new"));
  EXPECT_THAT(*files.list(directory.path()), testing::ElementsAre("x"));
  EXPECT_EQ(get(directory / "x"), "new");
  EXPECT_FALSE(write_atomically(files, directory / "absent/x", "new"));
}

}  // namespace
}  // namespace ftl
