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
  return make_zmq_transport(CurveKeys{own.public_key, own.secret_key, "", std::move(allowed)});
}

std::unique_ptr<Transport> client_of(const CurvePair& own, const std::string& server_public_key) {
  return make_zmq_transport(CurveKeys{own.public_key, own.secret_key, server_public_key, {}});
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
