// The launcher's ear: accepts the keepers of one attempt and nobody else. Every attempt has its own server, port and
// secret, so a keeper of an older attempt can say nothing that a newer one hears.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>

#include "launcher/control/messages.h"

namespace boost::asio {
class io_context;
}

namespace ftl {

struct ControlOptions {
  std::string address = "127.0.0.1";  // of the interface to listen on; the port is the system's choice
  std::string secret;
  Attempt attempt{1};
  WorldSize world{1};
};

// Called from within io_context::run(). A keeper is known from `connected` until `closed`; both come exactly once for
// it.
struct ControlSink {
  std::function<void(const Hello&)> connected;
  std::function<void(Rank, KeeperMessage)> message;  // never a Hello
  std::function<void(Rank, std::string why)> closed;
};

// A peer that does not authenticate within 2 s, sends a wrong MAC, a malformed or a too long frame, or names a rank
// that is not of this world or already connected, is dropped; a keeper that came back replaces its old self. At most
// world + 8 peers that are not keepers yet are connected at a time: when one more comes, the one that has proved
// nothing for the longest time makes room for it.
class ControlServer {
 public:
  // io must outlive the server. Failure: launch_failed, when nothing can be bound.
  static Result<std::unique_ptr<ControlServer>> listen(boost::asio::io_context& io, ControlOptions options,
                                                       ControlSink sink);
  ~ControlServer();  // closes everything; the sink is not called any more
  ControlServer(const ControlServer&) = delete;
  ControlServer& operator=(const ControlServer&) = delete;

  std::string address() const;              // "127.0.0.1:40123"
  void send(Rank rank, KeeperOrder order);  // nothing happens when the rank's keeper is not connected
  void send_all(KeeperOrder order);
  std::size_t connected() const;  // keepers
  std::size_t refused() const;    // peers that were dropped before they were keepers

 private:
  struct Impl;
  explicit ControlServer(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}
  std::shared_ptr<Impl> impl_;
};

}  // namespace ftl
