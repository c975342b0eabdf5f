#include "comm/backend.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace ftl {
namespace {

TEST(LoadBackend, SaysWhatIsMissing) {
  const Result<LoadedBackend> nowhere = load_backend("mpi", "/nonexistent");
  ASSERT_FALSE(nowhere);
  EXPECT_EQ(nowhere.error().kind, FaultKind::backend_unavailable);
  EXPECT_THAT(nowhere.error().what, testing::HasSubstr("No such file"));
  EXPECT_EQ(nowhere.error().where, "/nonexistent/libftl_mpi.so");
}

TEST(LoadBackend, KnowsItsNamesAndOpensNoOther) {
  for (const char* name : {"", "gloo", "../mpi"}) {
    const Result<LoadedBackend> backend = load_backend(name, "/nonexistent");
    ASSERT_FALSE(backend) << name;
    EXPECT_THAT(backend.error().what, testing::HasSubstr("there are: mpi, nccl"));
  }
}

}  // namespace
}  // namespace ftl
