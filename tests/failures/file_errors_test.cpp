#include "failures/file_errors.h"

#include <cerrno>

#include <gtest/gtest.h>

namespace ftl {
namespace {

struct Case {
  int error;
  FaultKind of_reading, of_writing;
};

TEST(FileErrors, TellAWrongPathFromStorageThatGaveWay) {
  using K = FaultKind;
  for (const Case& c : {Case{ENOENT, K::file_not_found, K::storage_failed},
                        {EACCES, K::file_not_found, K::storage_failed},
                        {ENOTDIR, K::file_not_found, K::storage_failed},
                        {EIO, K::storage_failed, K::storage_failed},
                        {ESTALE, K::storage_failed, K::storage_failed},
                        {EROFS, K::storage_failed, K::storage_failed},
                        {ENOSPC, K::storage_failed, K::storage_full},
                        {EDQUOT, K::storage_failed, K::storage_full},
                        {ENOMEM, K::host_out_of_memory, K::host_out_of_memory}}) {
    EXPECT_EQ(info(kind_of_failed_read(c.error)).name, info(c.of_reading).name) << c.error;
    EXPECT_EQ(info(kind_of_failed_write(c.error)).name, info(c.of_writing).name) << c.error;
  }
}

TEST(FileErrors, TellTheRoomOfAPlaceThatIsThereAndThatNobodyKnowsItOfOneThatIsNot) {
  EXPECT_EQ(free_bytes_at("/proc/version"), "0");
  EXPECT_EQ(free_bytes_at("/nowhere/x"), "an unknown number of");
}

}  // namespace
}  // namespace ftl
