// A world of one rank: every operation is complete when it is started. Used by engine `local`, where no library is
// needed.
#pragma once

#include <memory>

#include "comm/communicator.h"

namespace ftl {

std::unique_ptr<Communicator> make_solo_communicator();

}  // namespace ftl
