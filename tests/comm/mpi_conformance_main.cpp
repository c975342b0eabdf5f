// One rank of the conformance run over a real backend: argv[1] is the directory of its shared object.
// Started by mpirun; prints what was wrong and exits 1 if anything was.
#include <cstdio>
#include <cstdlib>

#include "comm/backend.h"
#include "communicator_conformance.h"

namespace {

int number_in(const char* variable, int otherwise) {
  const char* text = std::getenv(variable);
  return text == nullptr ? otherwise : std::atoi(text);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  const ftl::BackendOptions options{ftl::Rank{number_in("OMPI_COMM_WORLD_RANK", 0)},
                                    ftl::WorldSize{number_in("OMPI_COMM_WORLD_SIZE", 1)}};
  ftl::MakeCommunicatorResult communicator = ftl::make_communicator("mpi", argv[1], options);
  if (!communicator) {
    std::fputs(describe(communicator.error()).c_str(), stderr);
    return 1;
  }
  ftl::SystemClock clock;
  std::vector<std::string> wrong = ftl::check_communicator(**communicator, clock);
  for (std::string& more : ftl::check_memory(**communicator, clock)) wrong.push_back(std::move(more));
  for (std::string& more : ftl::check_exact_sum(**communicator, clock)) wrong.push_back(std::move(more));
  for (const std::string& line : wrong) std::fprintf(stderr, "rank %d: %s\n", options.rank.value, line.c_str());
  std::printf("rank %d of %d over %s: %zu wrong\n", options.rank.value, options.world.value,
              (*communicator)->traits().version.c_str(), wrong.size());
  return wrong.empty() ? 0 : 1;
}
