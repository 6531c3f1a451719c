// Keys and strangers: who gets in, who does not, and that nobody who does not disturbs the others.
#include "shared/net/curve.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <random>

#include "shared/base/clock.h"
#include "shared/net/transport.h"
#include "shared/wire/messages.h"

namespace strand {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

CurvePair pair() {
  return *generate_curve_pair();
}

std::unique_ptr<Transport> server_of(const CurvePair& own, std::vector<std::string> allowed) {
  return make_zmq_transport(CurveKeys{own.public_key, own.secret_key, "", std::move(allowed), {}});
}

std::unique_ptr<Transport> client_of(const CurvePair& own, const std::string& server_public_key) {
  return make_zmq_transport(CurveKeys{own.public_key, own.secret_key, server_public_key, {}, {}});
}

// Sends one message over a new connection; whether the server receives it within `wait`.
bool gets_through(Transport& client, Transport& server, const std::string& endpoint, const std::string& name,
                  Duration wait) {
  auto connected = client.connect(endpoint, name);
  EXPECT_TRUE(connected.ok());
  EXPECT_TRUE(client.send(*connected, "", {Frame::from_string("hello from " + name)}).ok());
  auto message = server.receive(wait);
  EXPECT_TRUE(message.ok());
  return message.ok() && message->has_value() && (*message)->peer == name;
}

TEST(CurveTest, ListedClientsGetInAndNobodyElse) {
  const CurvePair server_keys = pair(), friend_keys = pair(), stranger_keys = pair();
  auto server = server_of(server_keys, {friend_keys.public_key});
  auto bound = server->bind("tcp://127.0.0.1:0");
  ASSERT_TRUE(bound.ok()) << bound.error().message();
  const std::string endpoint = server->endpoint_of(*bound);
  auto known = client_of(friend_keys, server_keys.public_key);
  auto unlisted = client_of(stranger_keys, server_keys.public_key);
  auto deceived = client_of(friend_keys, stranger_keys.public_key);  // expects another server
  auto plain = make_zmq_transport();
  EXPECT_TRUE(gets_through(*known, *server, endpoint, "known", seconds(5)));
  EXPECT_FALSE(gets_through(*unlisted, *server, endpoint, "unlisted", milliseconds(400)));
  EXPECT_FALSE(gets_through(*deceived, *server, endpoint, "deceived", milliseconds(400)));
  EXPECT_FALSE(gets_through(*plain, *server, endpoint, "plain", milliseconds(400)));
  EXPECT_TRUE(server->send(*bound, "known", {Frame::from_string("answer")}).ok());
  auto answer = known->receive(seconds(5));
  EXPECT_TRUE(answer.ok() && answer->has_value());
}

// What the transport says of a connected socket within five seconds.
std::optional<Error> refusal_of(Transport& client, Transport& server, SocketId socket) {
  for (int i = 0; i < 100; ++i) {
    EXPECT_TRUE(server.receive(milliseconds(50)).ok());
    if (auto refusal = client.refusal(socket)) return refusal;
  }
  return std::nullopt;
}

TEST(CurveTest, WhoIsTurnedAwayIsCountedAndLearnsWhyWhileOthersGoOn) {
  const CurvePair server_keys = pair(), friend_keys = pair(), stranger_keys = pair();
  auto server = server_of(server_keys, {friend_keys.public_key});
  const std::string endpoint = server->endpoint_of(*server->bind("tcp://127.0.0.1:0"));
  auto known = client_of(friend_keys, server_keys.public_key);
  const SocketId good = *known->connect(endpoint, "known");
  EXPECT_EQ(server->turned_away(), 0u);
  auto stranger = client_of(stranger_keys, server_keys.public_key);
  const SocketId bad = *stranger->connect(endpoint, "stranger");
  const auto refusal = refusal_of(*stranger, *server, bad);
  ASSERT_TRUE(refusal.has_value());
  EXPECT_EQ(refusal->code(), ErrorCode::kBadInput);
  EXPECT_NE(refusal->message().find(stranger_keys.public_key), std::string::npos) << refusal->message();
  EXPECT_NE(refusal->message().find("--allow"), std::string::npos) << refusal->message();
  EXPECT_EQ(refusal->message().find(stranger_keys.secret_key), std::string::npos);
  EXPECT_GE(server->turned_away(), 1u);
  ASSERT_TRUE(known->send(good, "", {Frame::from_string("still here")}).ok());
  auto message = server->receive(seconds(5));
  ASSERT_TRUE(message.ok() && message->has_value());
  EXPECT_EQ((*message)->peer, "known");
  EXPECT_FALSE(known->refusal(good).has_value());
}

TEST(CurveTest, KeysOnOneSideOnlyAreNamed) {
  const CurvePair keys = pair();
  auto with_keys = server_of(keys, {keys.public_key}), without = make_zmq_transport();
  const std::string locked = with_keys->endpoint_of(*with_keys->bind("tcp://127.0.0.1:0"));
  const std::string open = without->endpoint_of(*without->bind("tcp://127.0.0.1:0"));
  auto plain = make_zmq_transport();
  const auto needs = refusal_of(*plain, *with_keys, *plain->connect(locked, "plain"));
  ASSERT_TRUE(needs.has_value());
  EXPECT_NE(needs->message().find("--keys"), std::string::npos) << needs->message();
  auto keyed = client_of(keys, keys.public_key);
  const auto has_none = refusal_of(*keyed, *without, *keyed->connect(open, "keyed"));
  ASSERT_TRUE(has_none.has_value());
  EXPECT_NE(has_none->message().find("has no keys"), std::string::npos) << has_none->message();
}

TEST(CurveTest, TheServersKeyIsFoundByHostOrByHostAndPort) {
  const CurvePair server_keys = pair(), own = pair(), other = pair();
  auto server = server_of(server_keys, {own.public_key});
  const std::string endpoint = server->endpoint_of(*server->bind("tcp://127.0.0.1:0"));
  const std::string address = endpoint.substr(std::string("tcp://").size());
  const auto with = [&](std::map<std::string, std::string> servers) {
    CurveKeys keys{own.public_key, own.secret_key, "", {}, std::move(servers)};
    return make_zmq_transport(keys);
  };
  auto by_host = with({{"127.0.0.1", server_keys.public_key}});
  EXPECT_TRUE(gets_through(*by_host, *server, endpoint, "by host", seconds(5)));
  auto by_port = with({{"127.0.0.1", other.public_key}, {address, server_keys.public_key}});
  EXPECT_TRUE(gets_through(*by_port, *server, endpoint, "by port", seconds(5)));
  const auto unknown = with({{"10.0.0.9", server_keys.public_key}})->connect(endpoint, "w");
  ASSERT_FALSE(unknown.ok());
  EXPECT_EQ(unknown.error().code(), ErrorCode::kBadInput);
  EXPECT_NE(unknown.error().message().find("127.0.0.1"), std::string::npos) << unknown.error().message();
}

TEST(CurveTest, AnEmptyListLetsNobodyIn) {
  const CurvePair server_keys = pair(), client_keys = pair();
  auto server = server_of(server_keys, {});
  const SocketId bound = *server->bind("tcp://127.0.0.1:0");
  auto client = client_of(client_keys, server_keys.public_key);
  EXPECT_FALSE(gets_through(*client, *server, server->endpoint_of(bound), "w", milliseconds(400)));
}

TEST(CurveTest, KeysAllowListeningToOtherMachines) {
  const CurvePair keys = pair();
  EXPECT_TRUE(server_of(keys, {})->bind("tcp://0.0.0.0:0").ok());
}

TEST(CurveTest, WrongKeysAreRefusedBeforeTheNetwork) {
  const CurvePair a = pair(), b = pair();
  EXPECT_EQ(server_of({a.public_key, b.secret_key}, {})->bind("tcp://127.0.0.1:0").error().code(),
            ErrorCode::kBadInput);
  EXPECT_EQ(client_of(a, "")->connect("tcp://127.0.0.1:9", "w").error().code(), ErrorCode::kBadInput);
  EXPECT_EQ(client_of({"", ""}, b.public_key)->connect("tcp://127.0.0.1:9", "w").error().code(), ErrorCode::kBadInput);
}

int raw_connection(const std::string& endpoint) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(std::stoi(endpoint.substr(endpoint.rfind(':') + 1))));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const int connection = ::socket(AF_INET, SOCK_STREAM, 0);
  EXPECT_EQ(::connect(connection, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  return connection;
}

TEST(StrangerTest, RandomBytesOnTheSocketDoNotDisturb) {
  auto server = make_zmq_transport(), client = make_zmq_transport();
  const std::string endpoint = server->endpoint_of(*server->bind("tcp://127.0.0.1:0"));
  const SocketId connected = *client->connect(endpoint, "w");
  std::mt19937 random(1);
  for (int round = 0; round < 50; ++round) {
    std::string bytes(1 + random() % 4000, '\0');
    for (char& byte : bytes) byte = static_cast<char>(random());
    if (round % 2 == 1)
      bytes.replace(0, std::min<size_t>(10, bytes.size()), "\xff\0\0\0\0\0\0\0\x01\x7f", 10);  // looks right
    const int stranger = raw_connection(endpoint);
    (void)!::send(stranger, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    ASSERT_TRUE(client->send(connected, "", {Frame::from_string(encode_message({}))}).ok());
    // Random bytes can look like a peer of ZeroMQ's first protocol, whose messages arrive: the codec refuses those.
    std::string peer;
    while (peer != "w") {
      auto message = server->receive(seconds(5));
      ASSERT_TRUE(message.ok() && message->has_value());
      peer = (*message)->peer;
      const Frame& frame = (*message)->frames[0];
      ASSERT_EQ(decode_message(frame.data(), frame.size()).ok(), peer == "w");
    }
    ::close(stranger);
  }
}

TEST(StrangerTest, AnUnnamedPeerWithForeignFramesIsDeliveredAsSuchAndHarmsNobody) {
  auto server = make_zmq_transport(), client = make_zmq_transport(), stranger = make_zmq_transport();
  const std::string endpoint = server->endpoint_of(*server->bind("tcp://127.0.0.1:0"));
  const SocketId bad = *stranger->connect(endpoint, "stranger"), good = *client->connect(endpoint, "w");
  ASSERT_TRUE(stranger->send(bad, "", {Frame::from_string("\x01\x02"), Frame(), Frame::from_string("?")}).ok());
  ASSERT_TRUE(client->send(good, "", {Frame::from_string("message")}).ok());
  int from_client = 0, from_stranger = 0;
  for (int i = 0; i < 2; ++i) {
    auto message = server->receive(seconds(5));
    ASSERT_TRUE(message.ok() && message->has_value());
    ((*message)->peer == "w" ? from_client : from_stranger) += 1;
  }
  EXPECT_EQ(from_client, 1);
  EXPECT_EQ(from_stranger, 1);
}

}  // namespace
}  // namespace strand
