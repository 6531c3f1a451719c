#include "tests/e2e/link_proxy.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "shared/base/check.h"

namespace strand::e2e {
namespace {

constexpr std::chrono::milliseconds kDelay{30};
constexpr size_t kMostWaiting = 64;  // pieces; more are not read

sockaddr_un address_of(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  STRAND_CHECK(path.size() < sizeof address.sun_path, path);
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  return address;
}

int new_socket() {
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  STRAND_CHECK(fd >= 0);
  return fd;
}

void make_nonblocking(int fd) {
  fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
}

}  // namespace

LinkProxy::LinkProxy(const std::string& path) : path_(path), real_(path + ".real") {
  std::filesystem::rename(path_, real_);
  listener_ = new_socket();
  const sockaddr_un address = address_of(path_);
  STRAND_CHECK(bind(listener_, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0, path_);
  STRAND_CHECK(listen(listener_, 64) == 0);
  make_nonblocking(listener_);
  thread_ = std::thread([this] { run(); });
}

LinkProxy::~LinkProxy() {
  stop_.store(true);
  thread_.join();
  close(listener_);
  for (const Connection& c : connections_) {
    close(c.client);
    close(c.server);
  }
  std::error_code none;  // or the next one would take what is left here for a worker that listens
  for (const std::string& path : {path_, real_}) std::filesystem::remove(path, none);
}

void LinkProxy::set(pid_t from, Fault fault, Way way) {
  const std::lock_guard lock(mutex_);
  rules_[from] = {fault, way};
}

Fault LinkProxy::fault_of(const Rule& rule, Way way) {
  return rule.way == Way::kBoth || rule.way == way || rule.fault == Fault::kCut ? rule.fault : Fault::kNone;
}

void LinkProxy::accept_one() {
  const int client = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
  if (client < 0) return;
  ucred peer{};
  socklen_t size = sizeof peer;
  getsockopt(client, SOL_SOCKET, SO_PEERCRED, &peer, &size);
  const int server = new_socket();
  const sockaddr_un address = address_of(real_);
  if (connect(server, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    close(client);
    close(server);
    return;
  }
  make_nonblocking(client);
  make_nonblocking(server);
  Connection& made = connections_.emplace_back();
  made.client = client;
  made.server = server;
  made.from = peer.pid;
}

// Reads what is there and the fault lets in, writes what is due.
void LinkProxy::move_on(Connection* connection, int source, int sink, Stream* stream, Fault fault) {
  char buffer[65536];
  while (fault != Fault::kStall && stream->waiting.size() < kMostWaiting) {
    const ssize_t n = read(source, buffer, sizeof buffer);
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) connection->over = true;
    if (n <= 0) break;
    if (fault == Fault::kDrop) {
      connection->has_hole = true;
      continue;
    }
    const auto due = Clock::now() + (fault == Fault::kDelay ? kDelay : std::chrono::milliseconds(0));
    stream->waiting.emplace_back(due, std::string(buffer, static_cast<size_t>(n)));
  }
  while (fault != Fault::kStall && !stream->waiting.empty() && stream->waiting.front().first <= Clock::now()) {
    const std::string& bytes = stream->waiting.front().second;
    const ssize_t n = send(sink, bytes.data() + stream->written, bytes.size() - stream->written, MSG_NOSIGNAL);
    if (n < 0 && errno != EAGAIN && errno != EINTR) connection->over = true;
    if (n <= 0) break;
    passed_ += static_cast<uint64_t>(n);
    stream->written += static_cast<size_t>(n);
    if (stream->written < bytes.size()) break;
    stream->waiting.pop_front();
    stream->written = 0;
  }
}

void LinkProxy::serve(Connection* connection) {
  Rule rule;
  {
    const std::lock_guard lock(mutex_);
    if (const auto found = rules_.find(connection->from); found != rules_.end()) rule = found->second;
  }
  const bool hole_shows = connection->has_hole && rule.fault != Fault::kDrop;
  if (rule.fault == Fault::kCut || hole_shows) connection->over = true;
  if (connection->over) return;
  move_on(connection, connection->client, connection->server, &connection->there, fault_of(rule, Way::kThere));
  move_on(connection, connection->server, connection->client, &connection->back, fault_of(rule, Way::kBack));
}

void LinkProxy::run() {
  while (!stop_.load()) {
    std::vector<pollfd> polled = {{listener_, POLLIN, 0}};
    for (const Connection& c : connections_) {
      polled.push_back({c.client, POLLIN, 0});
      polled.push_back({c.server, POLLIN, 0});
    }
    poll(polled.data(), polled.size(), 1);  // ends by itself: rules change, delays are over
    accept_one();
    for (Connection& c : connections_) serve(&c);
    connections_.remove_if([](const Connection& c) {
      if (!c.over) return false;
      close(c.client);
      close(c.server);
      return true;
    });
  }
}

}  // namespace strand::e2e
