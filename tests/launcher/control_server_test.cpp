// The launcher's listener against peers that are no keepers of its attempt.
#include <gtest/gtest.h>

#include <arpa/inet.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>

#include <atomic>
#include <optional>
#include <thread>

#include "launcher/control/server.h"
#include "launcher/keeper/control_link.h"

namespace ftl {
namespace {

class Server : public ::testing::Test {
 protected:
  void SetUp() override {
    ControlSink sink;
    sink.connected = [this](const Hello& hello) { connected.push_back(hello.rank); };
    sink.message = [this](Rank, KeeperMessage) { ++messages; };
    sink.closed = [this](Rank, const std::string&) { ++closed; };
    auto listening = ControlServer::listen(io, {"127.0.0.1", "secret", Attempt{2}, WorldSize{2}}, sink);
    ASSERT_TRUE(listening);
    server = std::move(*listening);
  }

  // Lets the server work until `reached`; false when it never is.
  template <class Reached>
  bool run_until(Reached reached) {
    const TimePoint deadline = clock.now() + std::chrono::seconds(20);
    while (!reached() && clock.now() < deadline) {
      io.restart();
      io.run_for(std::chrono::milliseconds(10));
    }
    return reached();
  }

  // A peer that behaves until its hello. The server runs meanwhile in this thread.
  Result<ControlLink> peer(const std::string& secret) {
    std::optional<Result<ControlLink>> link;
    std::atomic<bool> done = false;
    std::thread connecting([&] {
      link.emplace(ControlLink::connect(server->address(), secret, clock, std::chrono::seconds(10)));
      done = true;
    });
    run_until([&] { return done.load(); });
    connecting.join();
    return std::move(*link);
  }
  bool hello(ControlLink& link, Attempt attempt, Rank rank, bool came_back = false) {
    link.send(Hello{attempt, rank, "local-0", 77, came_back});
    return static_cast<bool>(link.flush());
  }

  boost::asio::io_context io;
  SystemClock clock;
  std::unique_ptr<ControlServer> server;
  std::vector<Rank> connected;
  int messages = 0;
  int closed = 0;
};

TEST_F(Server, DropsAPeerThatSendsGarbageOrNothing) {
  const auto port = static_cast<std::uint16_t>(std::stoi(server->address().substr(server->address().rfind(':') + 1)));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  ::inet_pton(AF_INET, "127.0.0.1", &address.sin_addr);
  const Descriptor loud(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)),
      silent(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  for (const Descriptor* each : {&loud, &silent}) {
    ASSERT_EQ(::connect(each->get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  }
  const std::string garbage = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
  ASSERT_GT(::send(loud.get(), garbage.data(), garbage.size(), MSG_NOSIGNAL), 0);
  EXPECT_TRUE(run_until([&] { return server->refused() == 2; }));
  EXPECT_EQ(server->connected(), 0u);
  EXPECT_EQ(closed, 0) << "a stranger was never a keeper";
}

TEST_F(Server, DropsAPeerWithoutTheSecret) {
  EXPECT_FALSE(peer("guess"));
  EXPECT_TRUE(run_until([&] { return server->refused() >= 1; }));
  EXPECT_EQ(server->connected(), 0u);
}

TEST_F(Server, DropsKeepersOfAnotherAttemptWorldOrATakenRank) {
  auto good = peer("secret"), older = peer("secret"), outside = peer("secret"), twin = peer("secret");
  ASSERT_TRUE(good && older && outside && twin);
  ASSERT_TRUE(hello(*good, Attempt{2}, Rank{1}));
  ASSERT_TRUE(run_until([&] { return server->connected() == 1; }));
  ASSERT_TRUE(hello(*older, Attempt{1}, Rank{0}));
  ASSERT_TRUE(hello(*outside, Attempt{2}, Rank{2}));
  ASSERT_TRUE(hello(*twin, Attempt{2}, Rank{1}));
  EXPECT_TRUE(run_until([&] { return server->refused() == 3; }));
  EXPECT_EQ(connected, std::vector<Rank>{Rank{1}});
}

TEST_F(Server, LetsAKeeperThatCameBackReplaceItsBrokenConnection) {
  auto broken = peer("secret"), again = peer("secret");
  ASSERT_TRUE(broken && again);
  ASSERT_TRUE(hello(*broken, Attempt{2}, Rank{1}));
  ASSERT_TRUE(run_until([&] { return server->connected() == 1; }));
  ASSERT_TRUE(hello(*again, Attempt{2}, Rank{1}, true));
  EXPECT_TRUE(run_until([&] { return connected.size() == 2; }));
  EXPECT_EQ(closed, 1);
  EXPECT_EQ(server->connected(), 1u);
  EXPECT_EQ(server->refused(), 0u);
}

TEST_F(Server, AKeeperReceivesOrdersAndItsEndIsToldOnce) {
  {
    auto keeper = peer("secret");
    ASSERT_TRUE(keeper);
    ASSERT_TRUE(hello(*keeper, Attempt{2}, Rank{0}));
    keeper->send(RankUp{99});
    ASSERT_TRUE(keeper->flush());
    ASSERT_TRUE(run_until([&] { return messages == 1; }));
    server->send_all(KeeperOrder::kill);
    std::vector<KeeperOrder> orders;
    EXPECT_TRUE(run_until([&] {
      const auto received = keeper->receive();
      if (received) orders.insert(orders.end(), received->begin(), received->end());
      return !orders.empty();
    }));
    EXPECT_EQ(orders, std::vector<KeeperOrder>{KeeperOrder::kill});
  }
  EXPECT_TRUE(run_until([&] { return closed == 1; }));
  EXPECT_EQ(server->connected(), 0u);
}

TEST_F(Server, StrangersBeyondTheLimitMakeRoomAndKeepNoKeeperOut) {
  std::vector<Descriptor> strangers;
  const auto port = static_cast<std::uint16_t>(std::stoi(server->address().substr(server->address().rfind(':') + 1)));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  ::inet_pton(AF_INET, "127.0.0.1", &address.sin_addr);
  for (int i = 0; i < 2 + 8 + 3; ++i) {
    strangers.emplace_back(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    ASSERT_EQ(::connect(strangers.back().get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  }
  EXPECT_TRUE(run_until([&] { return server->refused() == 3; })) << "the first ones went, the last ones stayed";
  auto keeper = peer("secret");
  ASSERT_TRUE(keeper) << keeper.error().what;
  ASSERT_TRUE(hello(*keeper, Attempt{2}, Rank{1}));
  EXPECT_TRUE(run_until([&] { return server->connected() == 1; }));
}

// With no descriptor left, a peer in the queue makes every accept fail at once.
TEST_F(Server, RestsWhileItCannotAcceptAndHearsThePeerAfterwards) {
  const auto port = static_cast<std::uint16_t>(std::stoi(server->address().substr(server->address().rfind(':') + 1)));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  ::inet_pton(AF_INET, "127.0.0.1", &address.sin_addr);
  const Descriptor first(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  io.poll();  // from here on the server waits in accept
  rlimit before{};
  ::getrlimit(RLIMIT_NOFILE, &before);
  const rlimit none_left{0, before.rlim_max};
  ::setrlimit(RLIMIT_NOFILE, &none_left);
  const int connects = ::connect(first.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
  io.restart();
  const std::size_t turns = io.run_for(std::chrono::milliseconds(500));
  ::setrlimit(RLIMIT_NOFILE, &before);
  ASSERT_EQ(connects, 0);
  EXPECT_GE(turns, 2u) << "no accept failed";
  EXPECT_LE(turns, 100u) << "it tried again and again";
  const std::string garbage = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
  ASSERT_GT(::send(first.get(), garbage.data(), garbage.size(), MSG_NOSIGNAL), 0);
  EXPECT_TRUE(run_until([&] { return server->refused() == 1; }));
}

// A launcher whose port is crowded: it sends the first two peers away and answers the third.
TEST(KeeperLink, ThatIsSentAwayTriesAgain) {
  const Descriptor listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  ::inet_pton(AF_INET, "127.0.0.1", &address.sin_addr);
  socklen_t size = sizeof address;
  ASSERT_EQ(::bind(listener.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  ASSERT_EQ(::listen(listener.get(), 8), 0);
  ASSERT_EQ(::getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &size), 0);
  std::thread launcher([&] {
    for (int i = 0; i < 2; ++i) Descriptor(::accept(listener.get(), nullptr, nullptr));
    const Descriptor peer(::accept(listener.get(), nullptr, nullptr));
    const LauncherHandshake handshake("secret");
    const std::string challenge = framed(handshake.challenge());
    char response[4 + handshake_frame_limit];
    if (::send(peer.get(), challenge.data(), challenge.size(), MSG_NOSIGNAL) < 0) return;
    const ssize_t got = ::recv(peer.get(), response, sizeof response, 0);
    const auto accepted = handshake.accept(std::string_view(response, static_cast<std::size_t>(got)).substr(4));
    if (!accepted) return;
    const std::string welcome = framed(accepted->welcome);
    if (::send(peer.get(), welcome.data(), welcome.size(), MSG_NOSIGNAL) < 0) return;
    ::recv(peer.get(), response, sizeof response, 0);  // until the keeper leaves
  });
  {
    SystemClock clock;
    const auto link = ControlLink::connect("127.0.0.1:" + std::to_string(ntohs(address.sin_port)), "secret", clock,
                                           std::chrono::seconds(10));
    EXPECT_TRUE(link) << link.error().what;
    ::shutdown(listener.get(), SHUT_RDWR);  // should the keeper have given up, the launcher does too
  }
  launcher.join();
}

}  // namespace
}  // namespace ftl
