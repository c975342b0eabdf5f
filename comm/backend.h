// Opens a backend's shared object. One installation runs on machines with and without MPI or a GPU: what is not here is
// a failure with a name, not a program that does not start.
#pragma once

#include <string>

#include "comm/communicator.h"

namespace ftl {

struct LoadedBackend {
  std::string path;  // of the shared object that was taken
  MakeCommunicator make = nullptr;
};

// Opens <library_directory>/libftl_<name>.so ("mpi", "nccl"). It stays open until the process ends: libraries like MPI
// do not survive being unloaded. Anything missing is backend_unavailable and says what the loader said.
Result<LoadedBackend> load_backend(const std::string& name, const std::string& library_directory);

// The same, and joins the world.
MakeCommunicatorResult make_communicator(const std::string& name, const std::string& library_directory,
                                         const BackendOptions& options);

}  // namespace ftl
