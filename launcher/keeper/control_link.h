// The keeper's end of the control connection: connects and authenticates with a limit, then never blocks. What cannot
// be sent yet waits in memory; callers ask how much waits and hold back what is not worth it.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "comm/clock.h"
#include "launcher/control/messages.h"
#include "launcher/control/sealed_frames.h"
#include "launcher/engines/child_process.h"

namespace ftl {

class ControlLink {
 public:
  // `address` is "host:port" or "[v6]:port". Strangers may crowd the launcher's port, so a connection that ends
  // during the handshake is tried again, eight times at most and within `limit`. Failure communication_failure: nobody
  // there, or not our launcher.
  static Result<ControlLink> connect(const std::string& address, const std::string& secret, Clock& clock,
                                     Duration limit);

  int descriptor() const { return socket_.get(); }
  void send(const KeeperMessage& message);  // queued; flush() moves it
  std::size_t pending_bytes() const { return output_.size() - sent_; }
  // Writes what the socket takes now. Failure: the connection is lost.
  Result<Done> flush();
  // Orders that have arrived. Failure: the connection is lost, or what came is not from our launcher.
  Result<std::vector<KeeperOrder>> receive();

 private:
  // crowded_out: the failure may be one of the moment.
  static Result<ControlLink> connect_once(const std::string& address, const std::string& secret, Clock& clock,
                                          TimePoint deadline, bool& crowded_out);
  ControlLink(Descriptor socket, Session session, FrameBuffer frames)
      : socket_(std::move(socket)), session_(std::move(session)), frames_(std::move(frames)) {}
  Descriptor socket_;
  Session session_;
  FrameBuffer frames_;
  std::string output_;
  std::size_t sent_ = 0;
};

}  // namespace ftl
