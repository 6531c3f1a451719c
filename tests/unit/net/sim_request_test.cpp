// Requests end to end over a network that loses, delays, doubles and reorders: tracker, codec and seam together.
#include <gtest/gtest.h>

#include <limits>
#include <map>
#include <random>

#include "shared/net/request_tracker.h"
#include "shared/wire/messages.h"
#include "tests/support/sim_transport.h"

namespace strand {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr Time kNever{std::numeric_limits<int64_t>::max()};
const std::string kEndpoint = "ipc:///sim/server";

// Answers every client request with the number it carries; keeps nothing, so it may die at any moment.
class Server {
 public:
  explicit Server(SimNetwork& network) : transport_(network.make_transport()) {
    EXPECT_TRUE(transport_->bind(kEndpoint).ok());
  }
  void serve() {
    while (auto incoming = *transport_->receive(Duration::zero())) {
      const Frame& frame = incoming->frames[0];
      const auto request = decode_message(frame.data(), frame.size());
      ASSERT_TRUE(request.ok());
      WireMessage reply{request->header, ClientReply{255, std::get<ClientRequest>(request->body).json}};
      (void)transport_->send(incoming->socket, incoming->peer, {Frame::from_string(encode_message(reply))});
    }
  }

 private:
  std::unique_ptr<Transport> transport_;
};

class Client {
 public:
  Client(SimNetwork& network, RetryPolicy policy, const std::string& name)
      : transport_(network.make_transport()), tracker_(policy), socket_(*transport_->connect(kEndpoint, name)) {}

  void ask(Time now) {
    const uint64_t request = tracker_.begin(now);
    send(request);
  }
  void step(Time now) {
    while (auto incoming = *transport_->receive(Duration::zero())) {
      const auto reply = decode_message(incoming->frames[0].data(), incoming->frames[0].size());
      ASSERT_TRUE(reply.ok());
      if (!tracker_.complete(reply->header.request)) {
        ++dropped;
        continue;
      }
      ASSERT_EQ(std::get<ClientReply>(reply->body).json, std::to_string(reply->header.request))
          << "the answer to its question";
      ASSERT_EQ(++answers[reply->header.request], 1) << "at most once";
    }
    const RequestTracker::Due due = tracker_.poll(now);
    for (uint64_t request : due.resend) send(request);
    expired += due.expired.size();
  }
  Time next_event() const { return tracker_.next_event(kNever); }
  size_t waiting() const { return tracker_.waiting(); }

  std::map<uint64_t, int> answers;
  uint64_t dropped = 0, expired = 0;

 private:
  void send(uint64_t request) {
    WireMessage message{{}, ClientRequest{"show", std::to_string(request)}};
    message.header.request = request;
    (void)transport_->send(socket_, "",
                           {Frame::from_string(encode_message(message))});  // a full queue: the retry comes
  }
  std::unique_ptr<Transport> transport_;
  RequestTracker tracker_;
  SocketId socket_;
};

SimFaults faults_of(std::mt19937_64& random) {
  SimFaults faults;
  faults.loss = static_cast<double>(random() % 90) / 100;
  faults.duplicate = static_cast<double>(random() % 50) / 100;
  faults.min_delay = milliseconds(random() % 5);
  faults.max_delay = faults.min_delay + milliseconds(random() % 800);
  faults.reorder = random() % 2 == 1;
  return faults;
}

struct Outcome {
  std::map<uint64_t, int> answers;
  uint64_t dropped = 0, sent = 0;
  Time end;
  bool operator==(const Outcome&) const = default;
};

// 100 requests at random moments; the server dies and comes back now and then.
Outcome run(uint64_t seed) {
  std::mt19937_64 random(seed);
  SimClock clock;
  SimNetwork network(seed, clock);
  network.set_faults(faults_of(random));
  auto server = std::make_unique<Server>(network);
  Client client(network, {milliseconds(200), seconds(2), Duration::zero()}, "client");
  int to_ask = 100;
  while (to_ask > 0 || client.waiting() > 0) {
    if (clock.now() > Time{} + std::chrono::hours(2)) {
      ADD_FAILURE() << client.waiting() << " requests still wait after two hours";
      break;
    }
    const Time next =
        std::min({network.next_arrival(kNever), client.next_event(), clock.now() + milliseconds(random() % 300)});
    clock.advance_to(std::max(clock.now(), next));
    if (random() % 200 == 0) server.reset();
    if (server == nullptr && random() % 20 == 0) server = std::make_unique<Server>(network);
    if (to_ask > 0 && random() % 3 == 0) {
      client.ask(clock.now());
      --to_ask;
    }
    if (server != nullptr) server->serve();
    client.step(clock.now());
  }
  return {client.answers, client.dropped, network.counters().sent, clock.now()};
}

TEST(SimRequestTest, EveryRequestIsAnsweredExactlyOnceWhateverTheNetworkDoes) {
  uint64_t dropped = 0;
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    const Outcome outcome = run(seed);
    ASSERT_EQ(outcome.answers.size(), 100u);
    dropped += outcome.dropped;
  }
  EXPECT_GT(dropped, 100u) << "duplicates must have occurred for this test to mean anything";
}

TEST(SimRequestTest, TheSameSeedIsTheSameRun) {
  EXPECT_EQ(run(7), run(7));
  EXPECT_NE(run(7), run(8));
}

TEST(SimRequestTest, WhenNothingArrivesEveryRequestExpiresAtItsDeadline) {
  SimClock clock;
  SimNetwork network(1, clock);
  network.set_reachable(kEndpoint, false);
  Server server(network);
  Client client(network, {milliseconds(200), seconds(2), seconds(60)}, "client");
  const Time start = clock.now();
  for (int i = 0; i < 10; ++i) client.ask(clock.now());
  while (client.waiting() > 0) {
    clock.advance_to(client.next_event());
    server.serve();
    client.step(clock.now());
  }
  EXPECT_EQ(client.expired, 10u);
  EXPECT_TRUE(client.answers.empty());
  EXPECT_EQ(clock.now() - start, Duration(seconds(60)));
  EXPECT_EQ(network.counters().lost, network.counters().sent);
}

TEST(SimTransportTest, KeepsThePromisesOfTheSeam) {
  SimClock clock;
  SimNetwork network(3, clock);
  SimFaults faults;
  faults.max_delay = milliseconds(500);
  network.set_faults(faults);
  auto server = network.make_transport(), client = network.make_transport(), other = network.make_transport();
  const SocketId connected = *client->connect("tcp://127.0.0.1:5", "w");
  for (int i = 0; i < 50; ++i) {
    ASSERT_TRUE(client->send(connected, "", {Frame::from_string(std::to_string(i))}).ok());  // before anybody listens
  }
  const SocketId bound = *server->bind("tcp://127.0.0.1:5");
  EXPECT_EQ(other->bind("tcp://127.0.0.1:5").error().code(), ErrorCode::kConflict);
  EXPECT_EQ(server->send(bound, "nobody", {Frame()}).error().code(), ErrorCode::kUnavailable);
  EXPECT_FALSE((*server->receive(seconds(1))).has_value()) << "nothing arrives while time stands still";
  clock.advance(seconds(1));
  for (int i = 0; i < 50; ++i) {
    auto message = *server->receive(Duration::zero());
    ASSERT_TRUE(message.has_value());
    EXPECT_EQ(message->peer, "w");
    EXPECT_EQ(std::string(message->frames[0].data(), message->frames[0].size()), std::to_string(i)) << "in order";
  }
  int taken = 0;
  while (taken < 5000 && server->send(bound, "w", {Frame::from_string("x")}).ok()) ++taken;
  EXPECT_EQ(taken, 1000) << "a full queue";
  client.reset();
  EXPECT_EQ(server->send(bound, "w", {Frame::from_string("x")}).error().code(), ErrorCode::kUnavailable);
  server.reset();
  EXPECT_TRUE(other->bind("tcp://127.0.0.1:5").ok());
}

}  // namespace
}  // namespace strand
