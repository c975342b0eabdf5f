#include "trainer/platform.h"

#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>

#include "tests/checkpoints/fresh_directory.h"

namespace ftl {
namespace {

TEST(Platform, IsTheSameForTheSameProgramAndAnotherForAnother) {
  const FreshDirectory directory;
  PosixFiles files;
  const auto device = make_cpu_device();
  ASSERT_TRUE(device);
  const auto of = [&](const char* name) {
    const auto platform = platform_of(files, **device, directory / name);
    return platform ? *platform : describe(platform.error());
  };
  put(directory / "built", "a program");
  put(directory / "rebuilt", "a program");
  std::filesystem::last_write_time(directory / "rebuilt",
                                   std::filesystem::file_time_type::clock::now() + std::chrono::hours(1));
  put(directory / "changed", "a Program");
  EXPECT_EQ(of("rebuilt"), of("built"));
  EXPECT_NE(of("changed"), of("built"));
  EXPECT_NE(of("built").find((*device)->traits().instruction_set), std::string::npos);
}

}  // namespace
}  // namespace ftl
