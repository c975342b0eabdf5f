// The only place where waiting for a collective turns into a failure.
#pragma once

#include "comm/clock.h"
#include "comm/communicator.h"

namespace ftl {

struct AwaitLimits {
  Duration give_up_after;  // a last resort far above the launcher's deadlines, which name the culprit; this one only
                           // ends the wait
  Duration spin_for = std::chrono::microseconds(100);    // polls without sleeping at first: most collectives are short
  Duration poll_every = std::chrono::microseconds(100);  // then sleeps this long between polls
};

// Polls until complete. On an error of the backend: that failure. On the limit: aborts the communicator,
// communication_failure.
Result<Done> await(Communicator& communicator, Ticket ticket, Clock& clock, const AwaitLimits& limits);

}  // namespace ftl
