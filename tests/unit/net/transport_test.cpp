// The ZeroMQ transport over real sockets: what arrives, what is refused, what survives a restart.
#include "shared/net/transport.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <fstream>
#include <map>
#include <thread>

#include "shared/base/clock.h"
#include "shared/base/text.h"

namespace strand {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// A folder for sockets, gone with the test.
class TransportTest : public testing::Test {
 protected:
  TransportTest() {
    char name[] = "/tmp/strand-net-XXXXXX";
    folder_ = ::mkdtemp(name);
  }
  ~TransportTest() override {
    for (const char* file : {"/s", "/s.lock", "/t", "/t.lock"}) ::unlink((folder_ + file).c_str());
    ::rmdir(folder_.c_str());
  }
  std::string ipc(const std::string& name = "s") const { return "ipc://" + folder_ + "/" + name; }

  std::string folder_;
};

std::vector<Frame> text_frames(const std::vector<std::string>& texts) {
  std::vector<Frame> frames;
  for (const std::string& text : texts) frames.push_back(Frame::from_string(text));
  return frames;
}

std::string text_of(const Frame& frame) {
  return {frame.data(), frame.size()};
}

// The next message within five seconds; fails the test when none comes.
std::optional<Incoming> next(Transport& transport, Duration wait = seconds(5)) {
  SystemClock clock;
  const Time end = clock.now() + wait;
  while (clock.now() < end) {
    auto message = transport.receive(end - clock.now());
    EXPECT_TRUE(message.ok());
    if (message.ok() && message->has_value()) return std::move(**message);
  }
  return std::nullopt;
}

// A bound and a connected transport, in the order of the endpoint: both directions, many frames, all sizes.
void round_trip(const std::string& endpoint) {
  auto server = make_zmq_transport(), client = make_zmq_transport();
  auto bound = server->bind(endpoint);
  ASSERT_TRUE(bound.ok()) << bound.error().message();
  auto connected = client->connect(server->endpoint_of(*bound), "worker-1");
  ASSERT_TRUE(connected.ok()) << connected.error().message();
  for (size_t bytes :
       {size_t{0}, size_t{1}, size_t{33}, size_t{1023}, size_t{1024}, size_t{100'000}, size_t{9'000'000}}) {
    const std::string bulk(bytes, static_cast<char>('a' + bytes % 26));
    ASSERT_TRUE(client->send(*connected, "", text_frames({"question", bulk})).ok());
    auto question = next(*server);
    ASSERT_TRUE(question.has_value());
    EXPECT_EQ(question->socket, *bound);
    EXPECT_EQ(question->peer, "worker-1");
    ASSERT_EQ(question->frames.size(), 2u);
    EXPECT_EQ(text_of(question->frames[0]), "question");
    EXPECT_TRUE(text_of(question->frames[1]) == bulk);
    ASSERT_TRUE(server->send(*bound, question->peer, text_frames({"answer", bulk, "end"})).ok());
    auto answer = next(*client);
    ASSERT_TRUE(answer.has_value());
    EXPECT_EQ(answer->socket, *connected);
    EXPECT_EQ(answer->peer, "");
    ASSERT_EQ(answer->frames.size(), 3u);
    if (bytes > 0) {
      EXPECT_EQ(reinterpret_cast<uintptr_t>(answer->frames[1].data()) % 64, 0u) << "bulk frames are aligned";
    }
    EXPECT_TRUE(text_of(answer->frames[1]) == bulk);
    EXPECT_EQ(text_of(answer->frames[2]), "end");
  }
}

TEST_F(TransportTest, RoundTripOverIpc) {
  round_trip(ipc());
}
TEST_F(TransportTest, RoundTripOverTcp) {
  round_trip("tcp://127.0.0.1:0");
}
TEST_F(TransportTest, RoundTripOverLocalhost) {
  round_trip("tcp://localhost:0");
}

TEST_F(TransportTest, FramesOutliveTheTransportAndSentBytesAreReleased) {
  auto server = make_zmq_transport(), client = make_zmq_transport();
  const SocketId bound = *server->bind(ipc());
  (void)bound;
  const SocketId connected = *client->connect(ipc(), "w");
  auto bytes = std::make_shared<const std::string>(200'000, 'x');
  std::weak_ptr<const std::string> watch = bytes;
  ASSERT_TRUE(client->send(connected, "", {Frame::view_of(bytes->data(), bytes->size(), bytes)}).ok());
  const std::string expected = *bytes;
  bytes.reset();
  auto message = next(*server);
  ASSERT_TRUE(message.has_value());
  server.reset();
  client.reset();
  EXPECT_TRUE(watch.expired()) << "the transport must let go of bytes it has sent";
  EXPECT_TRUE(text_of(message->frames[0]) == expected);
}

TEST_F(TransportTest, OnePlaceReceivesFromAllItsSockets) {
  auto server = make_zmq_transport(), a = make_zmq_transport(), b = make_zmq_transport();
  const SocketId first = *server->bind(ipc("s")), second = *server->bind(ipc("t"));
  const SocketId to_first = *a->connect(ipc("s"), "a"), to_second = *b->connect(ipc("t"), "b");
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(a->send(to_first, "", text_frames({concat(i)})).ok());
    ASSERT_TRUE(b->send(to_second, "", text_frames({concat(i)})).ok());
  }
  std::map<SocketId, int> seen;
  for (int i = 0; i < 40; ++i) {
    auto message = next(*server);
    ASSERT_TRUE(message.has_value());
    EXPECT_EQ(text_of(message->frames[0]), concat(seen[message->socket]++)) << "in order per connection";
  }
  EXPECT_EQ(seen[first], 20);
  EXPECT_EQ(seen[second], 20);
}

TEST_F(TransportTest, UnknownPeerIsUnavailable) {
  auto server = make_zmq_transport();
  const SocketId bound = *server->bind(ipc());
  const Status sent = server->send(bound, "nobody", text_frames({"x"}));
  ASSERT_FALSE(sent.ok());
  EXPECT_EQ(sent.error().code(), ErrorCode::kUnavailable);
}

TEST_F(TransportTest, FullQueueIsUnavailableAndNothingThatWasTakenIsLost) {
  auto server = make_zmq_transport(), client = make_zmq_transport();
  const SocketId connected = *client->connect(ipc(), "w");  // nobody listens yet: messages queue
  int taken = 0;
  Status sent;
  while (taken < 100'000 && (sent = client->send(connected, "", text_frames({concat(taken), "bulk"}))).ok()) ++taken;
  ASSERT_FALSE(sent.ok());
  EXPECT_EQ(sent.error().code(), ErrorCode::kUnavailable);
  EXPECT_GE(taken, 100);
  (void)*server->bind(ipc());
  for (int i = 0; i < taken; ++i) {
    auto message = next(*server);
    ASSERT_TRUE(message.has_value());
    ASSERT_EQ(message->frames.size(), 2u);
    ASSERT_EQ(text_of(message->frames[0]), concat(i));
  }
  ASSERT_TRUE(client->send(connected, "", text_frames({"again"})).ok());
  EXPECT_EQ(text_of(next(*server)->frames[0]), "again");
}

// Milliseconds from the return of the bound side until a message of the client arrives, which keeps sending.
double restart_gap(const std::string& first_endpoint) {
  SystemClock clock;
  auto server = make_zmq_transport(), client = make_zmq_transport();
  auto bound = server->bind(first_endpoint);
  EXPECT_TRUE(bound.ok());
  const std::string endpoint = server->endpoint_of(*bound);
  const SocketId connected = *client->connect(endpoint, "w");
  EXPECT_TRUE(client->send(connected, "", text_frames({"before"})).ok());
  EXPECT_TRUE(next(*server).has_value());
  server.reset();
  for (int i = 0; i < 30; ++i) {
    EXPECT_TRUE(client->send(connected, "", text_frames({"meanwhile"})).ok());
    ::usleep(10'000);
  }
  server = make_zmq_transport();
  bound = server->bind(endpoint);
  EXPECT_TRUE(bound.ok()) << bound.error().message();
  const Time start = clock.now();
  while (clock.now() < start + seconds(10)) {
    EXPECT_TRUE(client->send(connected, "", text_frames({"after"})).ok());
    auto message = next(*server, milliseconds(10));
    if (!message.has_value()) continue;
    const double gap = to_seconds(clock.now() - start) * 1e3;
    EXPECT_EQ(message->peer, "w");
    EXPECT_TRUE(server->send(*bound, "w", text_frames({"welcome back"})).ok());
    EXPECT_TRUE(next(*client).has_value());
    return gap;
  }
  return 1e9;
}

TEST_F(TransportTest, MessagesFlowAgainSoonAfterARestartOfTheBoundSide) {
  EXPECT_LT(restart_gap(ipc()), 2000);
  EXPECT_LT(restart_gap("tcp://127.0.0.1:0"), 2000);
}

TEST_F(TransportTest, AReturningClientIsANewPeerAndTheOldOneIsGone) {
  auto server = make_zmq_transport(), client = make_zmq_transport();
  const SocketId bound = *server->bind(ipc());
  ASSERT_TRUE(client->send(*client->connect(ipc(), "w/1"), "", text_frames({"x"})).ok());
  ASSERT_TRUE(next(*server).has_value());
  client = make_zmq_transport();
  ASSERT_TRUE(client->send(*client->connect(ipc(), "w/2"), "", text_frames({"y"})).ok());
  EXPECT_EQ(next(*server)->peer, "w/2");
  EXPECT_EQ(server->send(bound, "w/1", text_frames({"z"})).error().code(), ErrorCode::kUnavailable);
  EXPECT_TRUE(server->send(bound, "w/2", text_frames({"z"})).ok());
}

TEST_F(TransportTest, PortInUseIsAConflictThatTellsTheMend) {
  auto first = make_zmq_transport(), second = make_zmq_transport();
  const std::string endpoint = first->endpoint_of(*first->bind("tcp://127.0.0.1:0"));
  auto bound = second->bind(endpoint);
  ASSERT_FALSE(bound.ok());
  EXPECT_EQ(bound.error().code(), ErrorCode::kConflict);
  EXPECT_NE(bound.error().message().find(endpoint), std::string::npos);
  EXPECT_NE(bound.error().message().find("choose another port"), std::string::npos) << bound.error().message();
}

TEST_F(TransportTest, ALiveIpcPathIsAConflictAndTheOwnerIsNotDisturbed) {
  auto owner = make_zmq_transport(), other = make_zmq_transport();
  const SocketId bound = *owner->bind(ipc());
  auto taken = other->bind(ipc());
  ASSERT_FALSE(taken.ok());
  EXPECT_EQ(taken.error().code(), ErrorCode::kConflict) << taken.error().message();
  const SocketId connected = *other->connect(ipc(), "w");
  ASSERT_TRUE(other->send(connected, "", text_frames({"x"})).ok());
  EXPECT_TRUE(next(*owner).has_value());
  owner->close(bound);
  EXPECT_NE(::access((folder_ + "/s").c_str(), F_OK), 0) << "no socket file stays behind";
  EXPECT_TRUE(other->bind(ipc()).ok()) << "free after close";
}

TEST_F(TransportTest, ASocketFileOfADeadOwnerIsTakenOver) {
  const pid_t child = ::fork();
  if (child == 0) {
    auto owner = make_zmq_transport();
    ::_exit(owner->bind(ipc()).ok() ? 0 : 1);  // no destructor runs: the file stays
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_EQ(status, 0);
  struct stat file {};
  ASSERT_EQ(::stat((folder_ + "/s").c_str(), &file), 0);
  round_trip(ipc());
}

TEST_F(TransportTest, BadEndpointsAreRefusedWithTheReason) {
  auto transport = make_zmq_transport();
  std::ofstream(folder_ + "/t") << "precious";
  const std::pair<std::string, std::string> cases[] = {
      {"udp://127.0.0.1:1", "expected ipc:///path or tcp://host:port"},
      {"ipc://relative", "absolute path"},
      {"ipc:///tmp/" + std::string(120, 'x'), "at most 107"},
      {ipc("t"), "is not a socket"},
      {"tcp://127.0.0.1", "tcp://host:port"},
      {"tcp://127.0.0.1:65536", "is not a port"},
      {"tcp://127.0.0.1:*", "is not a port"},
      {"tcp://0.0.0.0:0", "without keys"},
      {"tcp://*:0", "without keys"},
      {"tcp://node7:4000", "without keys"},
  };
  for (const auto& [endpoint, reason] : cases) {
    auto bound = transport->bind(endpoint);
    ASSERT_FALSE(bound.ok()) << endpoint;
    EXPECT_EQ(bound.error().code(), ErrorCode::kBadInput) << endpoint;
    EXPECT_NE(bound.error().message().find(reason), std::string::npos) << bound.error().message();
  }
  EXPECT_FALSE(transport->connect("tcp://node7:4000", "w").ok());
  EXPECT_FALSE(transport->connect(ipc(), "").ok());
  std::string kept;
  std::ifstream(folder_ + "/t") >> kept;
  EXPECT_EQ(kept, "precious");
}

TEST_F(TransportTest, ATooLongFrameIsRefusedByTheSender) {
  auto client = make_zmq_transport();
  const SocketId connected = *client->connect(ipc(), "w");
  const Status sent = client->send(connected, "", {Frame::from_string(std::string((64u << 20) + 1, 'x'))});
  ASSERT_FALSE(sent.ok());
  EXPECT_EQ(sent.error().code(), ErrorCode::kBadInput);
}

TEST_F(TransportTest, ATransportMadeForThemTakesLongerFrames) {
  const int64_t limit = kMaxTransportFrame + 1;
  auto server = make_zmq_transport(std::nullopt, limit), client = make_zmq_transport(std::nullopt, limit);
  ASSERT_TRUE(server->bind(ipc()).ok());
  const SocketId connected = *client->connect(ipc(), "w");
  const std::string bulk(static_cast<size_t>(limit), 'x');
  ASSERT_TRUE(client->send(connected, "", {Frame::from_string("head"), Frame::from_string(bulk)}).ok());
  const auto message = next(*server, seconds(30));
  ASSERT_TRUE(message.has_value());
  EXPECT_EQ(message->frames[1].size(), bulk.size());
  EXPECT_EQ(std::memcmp(message->frames[1].data(), bulk.data(), bulk.size()), 0);
  const Status longer = client->send(connected, "", {Frame::from_string(bulk + "x")});
  ASSERT_FALSE(longer.ok());
  EXPECT_EQ(longer.error().code(), ErrorCode::kBadInput);
}

TEST_F(TransportTest, AWakeEndsTheWaitOfThisReceiveOrTheNext) {
  auto server = make_zmq_transport(), client = make_zmq_transport();
  ASSERT_TRUE(server->bind(ipc()).ok());
  const SystemClock clock;
  const auto is_woken = [&] {
    const Time begin = clock.now();
    const auto message = server->receive(seconds(60));
    return message.ok() && !message->has_value() && clock.now() - begin < seconds(30);
  };
  for (int i = 0; i < 3; ++i) server->wake();
  EXPECT_TRUE(is_woken());
  for (const int late : {0, 1, 50}) {
    std::thread waker([&] {
      std::this_thread::sleep_for(milliseconds(late));
      server->wake();
    });
    EXPECT_TRUE(is_woken()) << late;
    waker.join();
  }
  // A wait of its full length after that: the wake is used up.
  const Time begin = clock.now();
  EXPECT_FALSE(server->receive(milliseconds(60))->has_value());
  EXPECT_GE(clock.now() - begin, milliseconds(60));
  // And a message is never lost to one.
  const SocketId connected = *client->connect(ipc(), "w");
  for (int i = 0; i < 100; ++i) {
    ASSERT_TRUE(client->send(connected, "", text_frames({concat(i)})).ok());
    server->wake();
    const auto message = next(*server);
    ASSERT_TRUE(message.has_value());
    EXPECT_EQ(text_of(message->frames[0]), concat(i));
  }
}

}  // namespace
}  // namespace strand
