// What every backend must do, as one function of a rank: all ranks of a world call it with their communicator, and each
// gets a list of what went wrong. The same checks run in the fake world and, started by mpirun, over MPI.
#pragma once

#include <string>
#include <vector>

#include "comm/clock.h"
#include "comm/communicator.h"

namespace ftl {

// Empty: everything was as communicator.h says.
std::vector<std::string> check_communicator(Communicator& communicator, Clock& clock);
// Memory for operations that are complete is given back: what a run holds does not grow with its steps.
std::vector<std::string> check_memory(Communicator& communicator, Clock& clock);
// The exact sum over this communicator for several numbers of leaves against plain recursion, bit by bit.
std::vector<std::string> check_exact_sum(Communicator& communicator, Clock& clock);

}  // namespace ftl
