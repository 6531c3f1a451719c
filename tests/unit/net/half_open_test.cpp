// A connection that dies on the client's side only: a cable pulled, a firewall's state lost. The server still holds the
// old connection when the client comes back under the same routing id, which is its own for ever.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <thread>
#include <vector>

#include "shared/base/clock.h"
#include "shared/base/text.h"
#include "shared/net/transport.h"

namespace strand {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

sockaddr_in loopback(int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

// Passes bytes between clients and one server. cut_clients() closes the client's side of every connection and keeps the
// server's side open and silent.
class HalfOpeningProxy {
 public:
  explicit HalfOpeningProxy(int server_port) : server_port_(server_port) {
    listener_ = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address = loopback(0);
    socklen_t size = sizeof address;
    EXPECT_EQ(::bind(listener_, reinterpret_cast<sockaddr*>(&address), size), 0);
    EXPECT_EQ(::listen(listener_, 8), 0);
    EXPECT_EQ(::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size), 0);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { run(); });
  }
  ~HalfOpeningProxy() {
    stop_ = true;
    thread_.join();
    for (const Pair& pair : pairs_) close_pair(pair);
    ::close(listener_);
  }
  int port() const { return port_; }
  int connections() const { return accepted_; }
  void cut_clients() {
    cut_ = true;
    while (cut_) std::this_thread::sleep_for(milliseconds(1));
  }

 private:
  struct Pair {
    int client, server;
  };
  static void close_pair(const Pair& pair) {
    if (pair.client >= 0) ::close(pair.client);
    ::close(pair.server);
  }
  static void pump(int from, int to) {
    char buffer[65536];
    const ssize_t got = ::recv(from, buffer, sizeof buffer, MSG_DONTWAIT);
    if (got > 0) (void)!::send(to, buffer, static_cast<size_t>(got), MSG_NOSIGNAL);
  }
  void accept_one() {
    Pair pair{::accept(listener_, nullptr, nullptr), ::socket(AF_INET, SOCK_STREAM, 0)};
    const sockaddr_in address = loopback(server_port_);
    if (::connect(pair.server, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) {
      pairs_.push_back(pair);
      ++accepted_;
    } else {
      close_pair(pair);
    }
  }
  void run() {
    while (!stop_) {
      pollfd waiting{listener_, POLLIN, 0};
      if (::poll(&waiting, 1, 1) > 0) accept_one();
      if (cut_) {
        for (Pair& pair : pairs_) {
          if (pair.client >= 0) ::close(pair.client);
          pair.client = -1;
        }
        cut_ = false;
      }
      for (const Pair& pair : pairs_) {
        if (pair.client < 0) continue;
        pump(pair.client, pair.server);
        pump(pair.server, pair.client);
      }
    }
  }

  int server_port_, listener_ = -1, port_ = 0;
  std::vector<Pair> pairs_;
  std::atomic<bool> stop_ = false, cut_ = false;
  std::atomic<int> accepted_ = 0;
  std::thread thread_;
};

std::optional<Incoming> next(Transport& transport, Duration wait) {
  auto message = transport.receive(wait);
  EXPECT_TRUE(message.ok());
  return message.ok() ? std::move(*message) : std::nullopt;
}

TEST(HalfOpenTest, AClientThatLostItsConnectionIsHeardAndAnsweredAgainUnderItsName) {
  auto server = make_zmq_transport(), client = make_zmq_transport();
  const SocketId bound = *server->bind("tcp://127.0.0.1:0");
  const std::string endpoint = server->endpoint_of(bound);
  HalfOpeningProxy proxy(std::stoi(endpoint.substr(endpoint.rfind(':') + 1)));
  const SocketId connected = *client->connect(concat("tcp://127.0.0.1:", proxy.port()), "worker-1");
  ASSERT_TRUE(client->send(connected, "", {Frame::from_string("first")}).ok());
  ASSERT_TRUE(next(*server, seconds(5)).has_value());

  proxy.cut_clients();
  SystemClock clock;
  const Time end = clock.now() + seconds(5);
  bool heard = false, answered = false;
  for (int i = 0; clock.now() < end && !answered; ++i) {
    (void)client->send(connected, "", {Frame::from_string(concat("message ", i))});
    if (auto message = next(*server, milliseconds(20))) {
      ASSERT_EQ(message->peer, "worker-1");
      ASSERT_TRUE(std::string(message->frames[0].data(), message->frames[0].size()).starts_with("message "));
      heard = true;
      (void)server->send(bound, "worker-1", {Frame::from_string("answer")});
    }
    answered = next(*client, milliseconds(20)).has_value();
  }
  EXPECT_GE(proxy.connections(), 2) << "the client must have come back";
  EXPECT_TRUE(heard);
  EXPECT_TRUE(answered);
}

}  // namespace
}  // namespace strand
