// Opens libftl_cuda.so and libftl_nccl.so as the programs do; on a machine without a GPU both must say so.
#include <dlfcn.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "comm/backend.h"
#include "kernels/device.h"

namespace ftl {
namespace {

const std::string directory = FTL_BINARY_DIR "/lib";

TEST(CudaDevice, IsRefusedByNameAndNeverHalfUsable) {
  void* library = ::dlopen((directory + "/libftl_cuda.so").c_str(), RTLD_NOW | RTLD_NODELETE);
  ASSERT_NE(library, nullptr) << ::dlerror();
  const auto make = static_cast<const MakeDevice*>(::dlsym(library, "ftl_make_device"));
  ASSERT_NE(make, nullptr);
  const MakeDeviceResult device = (*make)(0);
  ASSERT_FALSE(device);
  EXPECT_THAT(device.error().kind, testing::AnyOf(FaultKind::backend_unavailable, FaultKind::not_in_this_version));
}

TEST(NcclBackend, LoadsAndRefusesAWorldWithoutAMeetingFile) {
  const MakeCommunicatorResult communicator = make_communicator("nccl", directory, {Rank{0}, WorldSize{1}});
  ASSERT_FALSE(communicator);
  EXPECT_EQ(communicator.error().kind, FaultKind::backend_unavailable);
  EXPECT_THAT(communicator.error().what, testing::HasSubstr("meeting file"));
}

}  // namespace
}  // namespace ftl
