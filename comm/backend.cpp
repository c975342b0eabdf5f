#include "comm/backend.h"

#include <dlfcn.h>

namespace ftl {

namespace {

Failure unavailable(const std::string& name, const std::string& path, const std::string& why) {
  return {FaultKind::backend_unavailable, "the backend " + name + " cannot be loaded: " + why, path,
          name == "mpi" ? "install Open MPI's runtime libraries, or run with one rank" : ""};
}

std::string loader_error() {
  const char* text = ::dlerror();
  return text == nullptr ? "the loader does not say why" : text;
}

}  // namespace

Result<LoadedBackend> load_backend(const std::string& name, const std::string& library_directory) {
  const std::string path = library_directory + "/libftl_" + name + ".so";
  if (name != "mpi" && name != "nccl") return unavailable(name, path, "there is no such backend; there are: mpi, nccl");
  // Open MPI's plugins look for symbols of libmpi among the global ones, so what the backend links is opened globally.
  void* library = ::dlopen(path.c_str(), RTLD_NOW | RTLD_GLOBAL | RTLD_NODELETE);
  if (library == nullptr) return unavailable(name, path, loader_error());
  const void* symbol = ::dlsym(library, "ftl_make_communicator");
  if (symbol == nullptr) return unavailable(name, path, loader_error());
  return LoadedBackend{path, *static_cast<const MakeCommunicator*>(symbol)};
}

MakeCommunicatorResult make_communicator(const std::string& name, const std::string& library_directory,
                                         const BackendOptions& options) {
  Result<LoadedBackend> backend = load_backend(name, library_directory);
  if (!backend) return backend.error();
  return backend->make(options);
}

}  // namespace ftl
