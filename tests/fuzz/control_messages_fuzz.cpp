// A message of a keeper, or an order to it. Accepted: encoded again it fits into a frame, is accepted, and is the same
// message.
#include "launcher/control/messages.h"
#include "launcher/control/sealed_frames.h"
#include "tests/fuzz/fuzz_target.h"

namespace ftl {
namespace {

bool run(std::string_view input) {
  if (const Result<KeeperOrder> order = decode_keeper_order(input)) {
    const Result<KeeperOrder> again = decode_keeper_order(encode(*order));
    must(again && *again == *order, "an order comes back");
  }
  const Result<KeeperMessage> message = decode_keeper_message(input);
  if (!message) {
    must(message.error().kind == FaultKind::communication_failure, "a malformed message is a failure of communication");
    return false;
  }
  const std::string payload = encode(*message);
  must(payload.size() <= payload_limit, "a message fits into a frame");
  const Result<KeeperMessage> again = decode_keeper_message(payload);
  must(again && again->index() == message->index(), "a message that is encoded again is accepted: " + payload);
  must(encode(*again) == payload, "a message that is encoded again is the same: " + payload);
  return true;
}

const FuzzTarget target("control_messages", run);

}  // namespace
}  // namespace ftl
