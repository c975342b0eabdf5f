// A world of ranks inside one process: what one member starts, the others see at once. It copies between host views
// when the last member has started the matching operation, and can delay, lose or refuse operations as a test asks for.
// Safe to use from several threads; deterministic when used from one.
#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "comm/clock.h"
#include "comm/communicator.h"

namespace ftl {

// One member's part of an operation, as the link model sees it.
struct FakeMessage {
  Rank from;             // who started it
  std::uint64_t number;  // its Ticket::number, from 1
  std::int64_t bytes;    // of the view it starts with
};
// How long after its start a member's part reaches the others; nothing: it is lost, and the others wait for ever.
using LinkModel = std::function<std::optional<Duration>(const FakeMessage&)>;

// What happens when members start different operations in the same place: a library may notice or may just wait.
enum class OnMismatch : std::uint8_t { fail, hang };

struct FakeWorldOptions {
  OnMismatch on_mismatch = OnMismatch::fail;
  LinkModel link;                  // empty: everything arrives at once
  std::function<TimePoint()> now;  // needed for delays; empty: time stands still
};

class FakeWorld {
 public:
  explicit FakeWorld(WorldSize size, FakeWorldOptions options = {});
  ~FakeWorld();
  // Once for each rank. The communicators may outlive the FakeWorld.
  std::unique_ptr<Communicator> communicator(Rank rank);

  struct Exchange;  // what the members have started so far

 private:
  std::shared_ptr<Exchange> exchange_;
};

}  // namespace ftl
