#include "launcher/keeper/control_link.h"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>

namespace ftl {
namespace {

// A launcher that lives answers at once, so the whole handshake is short; it sends peers away only when crowded.
constexpr Duration one_try = std::chrono::seconds(3);
constexpr int most_tries = 8;
constexpr Duration pause =
    std::chrono::milliseconds(50);  // before the second try, and so much longer before every further one

Failure lost(const std::string& what, const std::string& where) {
  return {FaultKind::communication_failure, what, where, ""};
}

int milliseconds_until(TimePoint deadline, const Clock& clock) {
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - clock.now()).count();
  return left < 0 ? 0 : static_cast<int>(left) + 1;
}

bool wait_for(int socket, short events, TimePoint deadline, const Clock& clock) {
  pollfd entry{socket, events, 0};
  int ready = 0;
  do ready = ::poll(&entry, 1, milliseconds_until(deadline, clock));
  while (ready < 0 && errno == EINTR);
  return ready > 0;
}

Result<Descriptor> open_socket(const addrinfo& target, TimePoint deadline, const Clock& clock) {
  Descriptor socket(::socket(target.ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket) return lost(std::string("no socket: ") + std::strerror(errno), "");
  if (::connect(socket.get(), target.ai_addr, target.ai_addrlen) != 0) {
    if (errno != EINPROGRESS) return lost(std::strerror(errno), "");
    if (!wait_for(socket.get(), POLLOUT, deadline, clock)) return lost("nobody answered in time", "");
    int error = 0;
    socklen_t size = sizeof error;
    ::getsockopt(socket.get(), SOL_SOCKET, SO_ERROR, &error, &size);
    if (error != 0) return lost(std::strerror(error), "");
  }
  const int one = 1;
  ::setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  ::setsockopt(socket.get(), SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one);
  return socket;
}

Result<Descriptor> open_socket(const std::string& address, TimePoint deadline, const Clock& clock) {
  const std::size_t colon = address.rfind(':');
  if (colon == std::string::npos) return lost("a control address is HOST:PORT", address);
  std::string host = address.substr(0, colon);
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int error = ::getaddrinfo(host.c_str(), address.substr(colon + 1).c_str(), &hints, &found);
  if (error != 0) return lost(std::string("the launcher's host cannot be resolved: ") + ::gai_strerror(error), address);
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owned(found, ::freeaddrinfo);
  Failure last = lost("the launcher's host has no address", address);
  for (const addrinfo* target = found; target != nullptr; target = target->ai_next) {
    auto socket = open_socket(*target, deadline, clock);
    if (socket) return socket;
    last = lost("the launcher cannot be reached: " + socket.error().what, address);
  }
  return last;
}

Result<std::string> next_body(int socket, FrameBuffer& frames, TimePoint deadline, const Clock& clock) {
  for (;;) {
    auto body = frames.next();
    if (!body) return body.error();
    if (body->has_value()) return std::move(**body);
    if (!wait_for(socket, POLLIN, deadline, clock)) return lost("the launcher did not answer in time", "");
    char bytes[1024];
    const ssize_t got = ::recv(socket, bytes, sizeof bytes, 0);
    if (got == 0) return lost("the launcher closed the connection", "");
    if (got < 0 && errno != EAGAIN && errno != EINTR) return lost(std::strerror(errno), "");
    if (got > 0) frames.feed(std::string_view(bytes, static_cast<std::size_t>(got)));
  }
}

}  // namespace

Result<ControlLink> ControlLink::connect_once(const std::string& address, const std::string& secret, Clock& clock,
                                              TimePoint deadline, bool& crowded_out) {
  auto socket = open_socket(address, deadline, clock);
  if (!socket) return socket.error();
  FrameBuffer frames(handshake_frame_limit);
  KeeperHandshake handshake(secret);
  crowded_out = true;  // as long as it is the connection that fails, and not the other side's proof
  const auto challenge = next_body(socket->get(), frames, deadline, clock);
  if (!challenge) return challenge.error();
  const auto response = handshake.respond(*challenge);
  if (!response) return crowded_out = false, response.error();
  const std::string frame = framed(*response);
  if (::send(socket->get(), frame.data(), frame.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(frame.size())) {
    return lost("the launcher closed the connection", address);  // 52 bytes on a new socket are taken whole
  }
  const auto welcome = next_body(socket->get(), frames, deadline, clock);
  if (!welcome) return welcome.error();
  auto session = handshake.confirm(*welcome);
  if (!session) return crowded_out = false, session.error();
  frames.set_limit(frame_limit);
  return ControlLink(std::move(*socket), std::move(*session), std::move(frames));
}

Result<ControlLink> ControlLink::connect(const std::string& address, const std::string& secret, Clock& clock,
                                         Duration limit) {
  const TimePoint deadline = clock.now() + limit;
  for (int tries = 1;; ++tries) {
    bool crowded_out = false;
    auto link = connect_once(address, secret, clock, std::min(deadline, clock.now() + one_try), crowded_out);
    if (link || !crowded_out || tries == most_tries || clock.now() >= deadline) return link;
    clock.sleep_until(clock.now() + tries * pause);
  }
}

void ControlLink::send(const KeeperMessage& message) { output_ += framed(session_.seal(encode(message))); }

Result<Done> ControlLink::flush() {
  while (sent_ < output_.size()) {
    const ssize_t wrote = ::send(socket_.get(), output_.data() + sent_, output_.size() - sent_, MSG_NOSIGNAL);
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0 && errno == EAGAIN) break;
    if (wrote < 0) return lost(std::strerror(errno), "control connection");
    sent_ += static_cast<std::size_t>(wrote);
  }
  if (sent_ == output_.size() || sent_ > frame_limit) {
    output_.erase(0, sent_);
    sent_ = 0;
  }
  return Done{};
}

Result<std::vector<KeeperOrder>> ControlLink::receive() {
  std::vector<KeeperOrder> orders;
  bool ended = false;
  for (;;) {
    char bytes[4096];
    const ssize_t got = ::recv(socket_.get(), bytes, sizeof bytes, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == EAGAIN) break;
    if (got <= 0) {
      ended = true;
      break;
    }
    frames_.feed(std::string_view(bytes, static_cast<std::size_t>(got)));
  }
  for (;;) {
    const auto body = frames_.next();
    if (!body) return body.error();
    if (!body->has_value()) break;
    const auto payload = session_.open(**body);
    if (!payload) return payload.error();
    const auto order = decode_keeper_order(*payload);
    if (!order) return order.error();
    orders.push_back(*order);
  }
  // An order that came together with the end is still an order; the end is found by the next call.
  if (ended && orders.empty()) return lost("the launcher closed the connection", "control connection");
  return orders;
}

}  // namespace ftl
