#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "launcher/control/messages.h"
#include "launcher/control/sealed_frames.h"

namespace ftl {
namespace {

struct Sessions {
  Session launcher;
  Session keeper;
};

Sessions connected(const std::string& secret = "secret") {
  const LauncherHandshake launcher(secret);
  KeeperHandshake keeper(secret);
  const auto response = keeper.respond(launcher.challenge());
  auto accepted = launcher.accept(*response);
  auto session = keeper.confirm(accepted->welcome);
  return {accepted->session, *session};
}

TEST(Handshake, RefusesAKeeperWithAnotherSecret) {
  const LauncherHandshake launcher("secret");
  KeeperHandshake keeper("other");
  EXPECT_FALSE(launcher.accept(*keeper.respond(launcher.challenge())));
}

TEST(Handshake, RefusesALauncherWithAnotherSecret) {
  const LauncherHandshake impostor("other");
  KeeperHandshake keeper("secret"), accomplice("other");
  (void)keeper.respond(impostor.challenge());
  const auto accepted = impostor.accept(*accomplice.respond(impostor.challenge()));
  ASSERT_TRUE(accepted);
  EXPECT_FALSE(keeper.confirm(accepted->welcome));
}

TEST(Handshake, ARecordedResponseIsWorthNothingForAnotherConnection) {
  const LauncherHandshake first("secret"), second("secret");
  KeeperHandshake keeper("secret");
  const auto response = keeper.respond(first.challenge());
  EXPECT_TRUE(first.accept(*response));
  EXPECT_FALSE(second.accept(*response));
}

TEST(Session, OpensWhatTheOtherSideSealedInOrder) {
  auto [launcher, keeper] = connected();
  const std::string first = keeper.seal("one"), second = keeper.seal("two");
  EXPECT_EQ(*launcher.open(first), "one");
  EXPECT_EQ(*launcher.open(second), "two");
}

TEST(Session, RefusesRepeatedReorderedReflectedAndAlteredFrames) {
  auto [launcher, keeper] = connected();
  const std::string first = keeper.seal("one"), second = keeper.seal("two");
  EXPECT_FALSE(launcher.open(second)) << "reordered";
  ASSERT_TRUE(launcher.open(first));
  EXPECT_FALSE(launcher.open(first)) << "repeated";
  EXPECT_FALSE(launcher.open(launcher.seal("three"))) << "reflected";
  for (std::size_t byte = 0; byte < second.size(); ++byte) {
    std::string altered = second;
    altered[byte] = static_cast<char>(altered[byte] ^ 1);
    EXPECT_FALSE(launcher.open(altered)) << "byte " << byte;
  }
  for (std::size_t size = 0; size < second.size(); ++size) EXPECT_FALSE(launcher.open(second.substr(0, size)));
  EXPECT_TRUE(launcher.open(second));
}

TEST(Session, RefusesAFrameOfAnotherSession) {
  auto one = connected(), other = connected();
  EXPECT_FALSE(one.launcher.open(other.keeper.seal("one")));
}

TEST(FrameBuffer, CutsFramesWhateverThePieces) {
  const std::string stream = framed("alpha") + framed("") + framed("beta");
  for (std::size_t piece = 1; piece <= stream.size(); ++piece) {
    FrameBuffer frames(frame_limit);
    std::vector<std::string> bodies;
    for (std::size_t at = 0; at < stream.size(); at += piece) {
      frames.feed(std::string_view(stream).substr(at, piece));
      for (auto body = frames.next(); body && body->has_value(); body = frames.next()) bodies.push_back(**body);
    }
    EXPECT_THAT(bodies, ::testing::ElementsAre("alpha", "", "beta"));
  }
}

TEST(FrameBuffer, RefusesALengthBeyondItsLimitBeforeTheBytesCome) {
  FrameBuffer frames(100);
  frames.feed(std::string("\xff\xff\xff\x7f", 4));
  EXPECT_FALSE(frames.next());
}

RingSnapshot example_ring() {
  RingSnapshot ring;
  ring.rank = Rank{2};
  ring.attempt = Attempt{3};
  ring.pid = 4711;
  ring.entries = 99;
  ring.phase = Phase::reduce;
  ring.step = 118;
  ring.collectives_started = 7;
  ring.collectives_completed = 6;
  ring.heartbeat = 5;
  ring.last_progress = {Duration(123456789)};
  RecordedEntry entry;
  entry.sequence = 99;
  entry.when = {Duration(-5)};
  entry.kind = EntryKind::collective_started;
  entry.phase = Phase::reduce;
  entry.step = 118;
  entry.collective = 7;
  entry.signature = {Operation::exact_sum, DType::bf16, 184321, 1, 118};
  ring.recent = {entry};
  return ring;
}

TEST(Messages, PulsesComeBackAsTheyWere) {
  Pulse pulse;
  pulse.state = ProcessState::stopped;
  pulse.ring = example_ring();
  pulse.ring_readable = true;
  pulse.at = {Duration(42)};
  pulse.cpu_seconds = 1.5;
  const auto decoded = decode_keeper_message(encode(KeeperMessage(pulse)));
  ASSERT_TRUE(decoded) << decoded.error().what;
  const auto& back = std::get<Pulse>(*decoded);
  EXPECT_EQ(back.state, ProcessState::stopped);
  EXPECT_EQ(back.ring.step, 118);
  EXPECT_EQ(back.ring.last_progress, pulse.ring.last_progress);
  ASSERT_EQ(back.ring.recent.size(), 1u);
  EXPECT_EQ(back.ring.recent[0].signature, pulse.ring.recent[0].signature);
  EXPECT_EQ(back.ring.recent[0].when, pulse.ring.recent[0].when);
  EXPECT_EQ(back.cpu_seconds, 1.5);
}

TEST(Messages, EvidenceComesBackAsItWas) {
  ExitEvidence evidence;
  evidence.status = {true, 9, false};
  evidence.pid = 4711;
  evidence.killed_by_keeper = true;
  evidence.ring = example_ring();
  evidence.last_lines = {"one", "not UTF-8: \xff"};
  evidence.oom = {1, "Killed process 4711 (fttrain)", 1 << 30};
  evidence.peak_resident_bytes = 123;
  const auto decoded = decode_keeper_message(encode(KeeperMessage(evidence)));
  ASSERT_TRUE(decoded) << decoded.error().what;
  const auto& back = std::get<ExitEvidence>(*decoded);
  EXPECT_TRUE(back.status.signalled);
  EXPECT_EQ(back.status.code, 9);
  EXPECT_TRUE(back.ring.has_value());
  EXPECT_EQ(back.last_lines[1], "not UTF-8: \xef\xbf\xbd");
  EXPECT_EQ(back.oom.cgroup_kills, 1);
  EXPECT_EQ(back.oom.kernel_line, evidence.oom.kernel_line);
}

TEST(Messages, RingFilesKeepEveryByte) {
  for (std::size_t size : {0u, 1u, 2u, 3u, 4u, 1000u}) {
    const std::string bytes = random_bytes(size);
    const auto decoded = decode_keeper_message(encode(KeeperMessage(RingFile{bytes})));
    ASSERT_TRUE(decoded);
    EXPECT_EQ(std::get<RingFile>(*decoded).bytes, bytes);
  }
}

TEST(Messages, TheWorstOfAllFitIntoAFrame) {
  ExitEvidence evidence;
  evidence.ring = example_ring();
  evidence.ring->recent.assign(100'000, evidence.ring->recent[0]);
  evidence.last_lines.assign(1000, std::string(100'000, '\1'));
  evidence.oom.kernel_line.assign(100'000, '\1');
  LogBatch batch{std::vector<std::string>(10'000, std::string(100'000, '\1')), 0};
  for (const KeeperMessage& message :
       {KeeperMessage(evidence), KeeperMessage(batch), KeeperMessage(ReportLine{std::string(1 << 20, '\1')}),
        KeeperMessage(RingFile{std::string(4 << 20, 'x')})}) {
    const std::string payload = encode(message);
    EXPECT_LE(payload.size(), payload_limit);
    EXPECT_TRUE(decode_keeper_message(payload));
  }
}

TEST(Messages, OrdersHaveNames) {
  for (const KeeperOrder order : {KeeperOrder::stop, KeeperOrder::kill, KeeperOrder::dismiss}) {
    EXPECT_EQ(*decode_keeper_order(encode(order)), order);
  }
  EXPECT_FALSE(decode_keeper_order(R"({"order":"dance"})"));
}

TEST(Messages, OutOfRangeValuesAreRefused) {
  for (const char* text :
       {R"({})", R"([])", R"({"type":7})", R"({"type":"nonsense"})", R"({"type":"rank_up"})",
        R"({"type":"rank_up","pid":0})", R"({"type":"rank_up","pid":1.5})", R"({"type":"rank_up","pid":99999999999})",
        R"({"type":"rank_up","pid":18446744073709551615})",
        R"({"type":"hello","attempt":0,"rank":0,"node":"n","keeper_pid":1,"came_back":false})",
        R"({"type":"hello","attempt":1,"rank":-1,"node":"n","keeper_pid":1,"came_back":false})",
        R"({"type":"log","lines":["a",1],"dropped":0})", R"({"type":"log","lines":[],"dropped":-1})",
        R"({"type":"ring_file","bytes":"abc"})", R"({"type":"ring_file","bytes":"!!!!"})"}) {
    EXPECT_FALSE(decode_keeper_message(text)) << text;
  }
}

TEST(Messages, DeepNestingIsAFailureAndNeverACrash) {
  const std::string good = encode(KeeperMessage(Pulse{ProcessState::running, example_ring(), true, {}, 0}));
  const std::string deep = std::string(200'000, '[') + std::string(200'000, ']');
  for (const char* field : {"[99,", "\"recent\":", "\"ring\":", "\"state\":", "\"type\":"}) {
    const std::size_t value = good.find(field) + std::string(field).find_last_of("[:") + 1;
    EXPECT_FALSE(decode_keeper_message(good.substr(0, value) + deep + "," + good.substr(value))) << field;
    const std::size_t end = good.find_first_of(",}]", value);
    EXPECT_FALSE(decode_keeper_message(good.substr(0, value) + deep + good.substr(end))) << field;
  }
}

TEST(Messages, ProcessorTimeIsRoundedAndBounded) {
  Pulse pulse{ProcessState::running, example_ring(), true, {}, 1.001};
  EXPECT_EQ(std::get<Pulse>(*decode_keeper_message(encode(KeeperMessage(pulse)))).cpu_seconds, 1.001);
  std::string endless = encode(KeeperMessage(pulse));
  endless.replace(endless.find("1001"), 4, "9223372036854775807");
  EXPECT_FALSE(decode_keeper_message(endless));
}

TEST(Messages, GarbageIsAFailureAndNeverACrash) {
  std::mt19937 random(7);
  const std::string good = encode(KeeperMessage(Pulse{ProcessState::running, example_ring(), true, {}, 0}));
  for (std::size_t size = 0; size < good.size(); ++size) EXPECT_FALSE(decode_keeper_message(good.substr(0, size)));
  for (int round = 0; round < 20'000; ++round) {
    std::string mutated = good;
    for (int changes = 0; changes < 3; ++changes) mutated[random() % mutated.size()] = static_cast<char>(random());
    (void)decode_keeper_message(mutated);
    (void)decode_keeper_order(mutated);
  }
}

}  // namespace
}  // namespace ftl
