#include "comm/await.h"

#include <algorithm>

namespace ftl {

namespace {

std::string seconds(Duration duration) {
  const auto milliseconds = std::chrono::duration_cast<std::chrono::milliseconds>(duration).count();
  std::string fraction = std::to_string(milliseconds % 1000);
  fraction.insert(0, 3 - fraction.size(), '0');
  return std::to_string(milliseconds / 1000) + "." + fraction + " s";
}

}  // namespace

Result<Done> await(Communicator& communicator, Ticket ticket, Clock& clock, const AwaitLimits& limits) {
  const TimePoint start = clock.now();
  const TimePoint deadline = start + limits.give_up_after;
  for (;;) {
    const Result<Progress> progress = communicator.poll(ticket);
    if (!progress) return progress.error();
    if (*progress == Progress::complete) return Done{};
    const TimePoint now = clock.now();
    if (now >= deadline) {
      communicator.abort();
      return Failure{FaultKind::communication_failure,
                     "operation " + std::to_string(ticket.number) + " on " + communicator.traits().name +
                         " was not complete after " + seconds(now - start) + ", the limit is " +
                         seconds(limits.give_up_after),
                     "rank " + std::to_string(communicator.rank().value), ""};
    }
    if (now - start >= limits.spin_for) clock.sleep_until(std::min(now + limits.poll_every, deadline));
  }
}

}  // namespace ftl
