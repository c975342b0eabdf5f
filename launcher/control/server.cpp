#include "launcher/control/server.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>

#include <algorithm>
#include <array>
#include <deque>
#include <map>
#include <vector>

#include "launcher/control/sealed_frames.h"

namespace ftl {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using ErrorCode = boost::system::error_code;

constexpr auto authentication_limit = std::chrono::seconds(2);
constexpr std::size_t strangers_max = 8;
// An accept that fails (no descriptor is left, say) fails again at once while the peer waits in the queue.
constexpr auto rest_after_failed_accept = std::chrono::milliseconds(50);

}  // namespace

struct ControlServer::Impl : std::enable_shared_from_this<ControlServer::Impl> {
  struct Connection : std::enable_shared_from_this<Connection> {
    Connection(std::shared_ptr<Impl> impl, tcp::socket peer)
        : server(impl), socket(std::move(peer)), deadline(socket.get_executor()), handshake(impl->options.secret) {}

    void start();
    void read();
    bool take(const std::string& body);  // false: the connection has been closed
    bool take_first_message(const std::string& payload);
    void write(const std::string& body);
    void write_next();
    void close(const std::string& why);

    std::weak_ptr<Impl> server;
    tcp::socket socket;
    asio::steady_timer deadline;
    LauncherHandshake handshake;
    std::optional<Session> session;
    std::optional<Rank> rank;  // set by Hello: from then on this is a keeper
    FrameBuffer frames{handshake_frame_limit};
    std::array<char, 64 * 1024> input;
    std::deque<std::string> output;
    bool closed = false;
  };

  Impl(asio::io_context& io, ControlOptions chosen, ControlSink callbacks)
      : options(std::move(chosen)), sink(std::move(callbacks)), acceptor(io), rest(io) {}

  void accept();
  void accept_later();
  bool make_room();  // for one more stranger
  void send(Rank rank, KeeperOrder order);

  ControlOptions options;
  ControlSink sink;
  tcp::acceptor acceptor;
  asio::steady_timer rest;
  std::vector<std::shared_ptr<Connection>> strangers;  // the oldest first
  std::map<Rank, std::shared_ptr<Connection>> keepers;
  std::size_t refused = 0;
};

void ControlServer::Impl::accept() {
  acceptor.async_accept([weak = weak_from_this()](ErrorCode error, tcp::socket peer) {
    const auto self = weak.lock();
    if (!self || error == asio::error::operation_aborted) return;
    if (error) return self->accept_later();
    if (self->make_room()) {
      const auto connection = std::make_shared<Connection>(self, std::move(peer));
      self->strangers.push_back(connection);
      connection->start();
    } else {
      ++self->refused;  // the socket closes here
    }
    self->accept();
  });
}

void ControlServer::Impl::accept_later() {
  rest.expires_after(rest_after_failed_accept);
  rest.async_wait([weak = weak_from_this()](ErrorCode error) {
    const auto self = weak.lock();
    if (self && !error && self->acceptor.is_open()) self->accept();
  });
}

// Who knows the secret is never sent away: that is a keeper a moment before its hello.
bool ControlServer::Impl::make_room() {
  if (strangers.size() < static_cast<std::size_t>(options.world.value) + strangers_max) return true;
  const auto unproved = std::find_if(strangers.begin(), strangers.end(), [](const auto& one) { return !one->session; });
  if (unproved == strangers.end()) return false;
  const auto leaving = *unproved;  // closing takes it out of the list
  leaving->close("it made room for another peer");
  return true;
}

void ControlServer::Impl::send(Rank rank, KeeperOrder order) {
  const auto found = keepers.find(rank);
  if (found == keepers.end()) return;
  const auto connection = found->second;
  connection->write(connection->session->seal(encode(order)));
}

void ControlServer::Impl::Connection::start() {
  ErrorCode ignored;
  socket.set_option(tcp::no_delay(true), ignored);
  socket.set_option(asio::socket_base::keep_alive(true), ignored);
  deadline.expires_after(authentication_limit);
  deadline.async_wait([self = shared_from_this()](ErrorCode error) {
    if (!error && !self->rank) self->close("it did not authenticate in time");
  });
  write(handshake.challenge());
  read();
}

void ControlServer::Impl::Connection::read() {
  socket.async_read_some(asio::buffer(input), [self = shared_from_this()](ErrorCode error, std::size_t count) {
    if (self->closed) return;
    if (error) return self->close(error == asio::error::eof ? "it closed the connection" : error.message());
    self->frames.feed(std::string_view(self->input.data(), count));
    for (;;) {
      auto body = self->frames.next();
      if (!body) return self->close(body.error().what);
      if (!body->has_value()) break;
      if (!self->take(**body)) return;
    }
    self->read();
  });
}

bool ControlServer::Impl::Connection::take(const std::string& body) {
  if (!session) {
    auto accepted = handshake.accept(body);
    if (!accepted) return close(accepted.error().what), false;
    session = std::move(accepted->session);
    frames.set_limit(frame_limit);
    write(accepted->welcome);
    return true;
  }
  const auto payload = session->open(body);
  if (!payload) return close(payload.error().what), false;
  if (!rank) return take_first_message(*payload);
  auto message = decode_keeper_message(*payload);
  if (!message) return close(message.error().what), false;
  if (std::holds_alternative<Hello>(*message)) return close("it said hello twice"), false;
  if (const auto impl = server.lock()) impl->sink.message(*rank, std::move(*message));
  return !closed;
}

bool ControlServer::Impl::Connection::take_first_message(const std::string& payload) {
  const auto impl = server.lock();
  if (!impl) return false;
  const auto message = decode_keeper_message(payload);
  if (!message) return close(message.error().what), false;
  const auto* hello = std::get_if<Hello>(&*message);
  if (hello == nullptr) return close("its first message is no hello"), false;
  if (hello->attempt != impl->options.attempt || hello->rank.value >= impl->options.world.value) {
    return close("it is of another attempt or world"), false;
  }
  if (const auto known = impl->keepers.find(hello->rank); known != impl->keepers.end()) {
    if (!hello->came_back) return close("its rank is already connected"), false;
    const auto broken = known->second;  // closing takes it out of the map
    broken->close("its keeper connected again");
  }
  deadline.cancel();
  rank = hello->rank;
  impl->keepers[hello->rank] = shared_from_this();
  std::erase(impl->strangers, shared_from_this());
  impl->sink.connected(*hello);
  return !closed;
}

void ControlServer::Impl::Connection::write(const std::string& body) {
  output.push_back(framed(body));
  if (output.size() == 1) write_next();
}

void ControlServer::Impl::Connection::write_next() {
  asio::async_write(socket, asio::buffer(output.front()), [self = shared_from_this()](ErrorCode error, std::size_t) {
    if (self->closed || error) return;  // the reading side reports the end
    self->output.pop_front();
    if (!self->output.empty()) self->write_next();
  });
}

void ControlServer::Impl::Connection::close(const std::string& why) {
  if (closed) return;
  closed = true;
  const auto self = shared_from_this();
  ErrorCode ignored;
  socket.close(ignored);
  deadline.cancel();
  const auto impl = server.lock();
  if (!impl) return;
  if (rank) {
    impl->keepers.erase(*rank);
    impl->sink.closed(*rank, why);
  } else {
    std::erase(impl->strangers, self);
    ++impl->refused;
  }
}

Result<std::unique_ptr<ControlServer>> ControlServer::listen(asio::io_context& io, ControlOptions options,
                                                             ControlSink sink) {
  ErrorCode error;
  const auto address = asio::ip::make_address(options.address, error);
  const std::string where = options.address;
  const auto impl = std::make_shared<Impl>(io, std::move(options), std::move(sink));
  const tcp::endpoint endpoint(address, 0);
  if (!error) impl->acceptor.open(endpoint.protocol(), error);
  if (!error) impl->acceptor.bind(endpoint, error);
  if (!error) impl->acceptor.listen(asio::socket_base::max_listen_connections, error);
  if (error) {
    return Failure{FaultKind::launch_failed, "the launcher cannot listen for its keepers: " + error.message(), where,
                   ""};
  }
  impl->accept();
  return std::unique_ptr<ControlServer>(new ControlServer(impl));
}

ControlServer::~ControlServer() {
  ErrorCode ignored;
  impl_->acceptor.close(ignored);
  impl_->sink = ControlSink{[](const Hello&) {}, [](Rank, KeeperMessage) {}, [](Rank, const std::string&) {}};
  const auto strangers = std::exchange(impl_->strangers, {});
  const auto keepers = std::exchange(impl_->keepers, {});
  for (const auto& connection : strangers) connection->close("the server ended");
  for (const auto& [rank, connection] : keepers) connection->close("the server ended");
}

std::string ControlServer::address() const {
  const auto endpoint = impl_->acceptor.local_endpoint();
  const std::string host = endpoint.address().to_string();
  return (endpoint.address().is_v6() ? "[" + host + "]" : host) + ":" + std::to_string(endpoint.port());
}

void ControlServer::send(Rank rank, KeeperOrder order) { impl_->send(rank, order); }

void ControlServer::send_all(KeeperOrder order) {
  for (std::int32_t rank = 0; rank < impl_->options.world.value; ++rank) impl_->send(Rank{rank}, order);
}

std::size_t ControlServer::connected() const { return impl_->keepers.size(); }
std::size_t ControlServer::refused() const { return impl_->refused; }

}  // namespace ftl
