// The transport over ZeroMQ: a bound socket is a ROUTER, a connected one a DEALER.
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zmq.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <map>
#include <new>

#include "shared/base/check.h"
#include "shared/base/log.h"
#include "shared/base/text.h"
#include "shared/fs/file_system.h"
#include "shared/net/curve.h"
#include "shared/net/endpoint.h"
#include "shared/net/transport.h"
#include "shared/net/zmq_monitor.h"
#include "shared/net/zmq_zap.h"

namespace strand {
namespace {

constexpr int kQueueMessages = 1000;  // per peer and direction; a full queue is kUnavailable
constexpr size_t kMaxFrames = 16;     // of one message; more are a stranger's
constexpr size_t kCopyBelow = 1024;   // smaller frames are copied: cheaper than shared ownership
constexpr size_t kBulkAlignment = 64;
constexpr int kLingerMs = 500;  // what is unsent this long after close is dropped
constexpr int kReconnectMs = 50, kReconnectMaxMs = 1000;
// Where packets are dropped without a word an attempt would last as long as the system repeats its own, 1, 2, 4, .. s.
constexpr int kConnectMs = 3000;
constexpr int kHandshakeMs = 5000;                               // a connection that says nothing is closed
constexpr int kHeartbeatMs = 2000, kHeartbeatTimeoutMs = 10000;  // tcp: notices a peer gone without a word

struct Socket {
  void* handle = nullptr;
  bool bound = false;
  Endpoint endpoint;
  std::unique_ptr<FileLock> lock;       // bound ipc: we own the path
  std::unique_ptr<ZmqMonitor> monitor;  // connected tcp
};

void set_int(void* socket, int option, int value) {
  const int rc = zmq_setsockopt(socket, option, &value, sizeof value);
  STRAND_CHECK(rc == 0, "zmq option ", option, ": ", zmq_strerror(zmq_errno()));
}

void set_text(void* socket, int option, const std::string& value) {
  const int rc = zmq_setsockopt(socket, option, value.data(), value.size());
  STRAND_CHECK(rc == 0, "zmq option ", option, ": ", zmq_strerror(zmq_errno()));
}

std::shared_ptr<void> aligned_copy(const void* data, size_t bytes) {
  constexpr std::align_val_t kAlignment{kBulkAlignment};
  std::shared_ptr<void> copy(::operator new(bytes, kAlignment), [](void* p) { ::operator delete(p, kAlignment); });
  std::memcpy(copy.get(), data, bytes);
  return copy;
}

// The frame keeps the library's buffer alive; bulk frames that are not aligned are copied once.
Frame frame_of(zmq_msg_t* message, bool bulk) {
  std::shared_ptr<zmq_msg_t> owner(new zmq_msg_t, [](zmq_msg_t* m) {
    zmq_msg_close(m);
    delete m;
  });
  zmq_msg_init(owner.get());
  zmq_msg_move(owner.get(), message);
  const void* data = zmq_msg_data(owner.get());  // after the move: small messages live inside the structure
  const size_t bytes = zmq_msg_size(owner.get());
  if (!bulk || bytes == 0 || reinterpret_cast<uintptr_t>(data) % kBulkAlignment == 0) {
    return Frame::view_of(data, bytes, owner);
  }
  auto copy = aligned_copy(data, bytes);
  return Frame::view_of(copy.get(), bytes, copy);
}

// A frame that the library frees, on its own thread, once it is sent. The library orders the two threads; the atomic
// says so to a thread sanitizer, which does not see into it.
struct SentFrame {
  explicit SentFrame(const Frame& sent) : frame(sent) { handed_over.store(true, std::memory_order_release); }
  static void free(void*, void* owner) {
    auto* sent = static_cast<SentFrame*>(owner);
    STRAND_CHECK(sent->handed_over.load(std::memory_order_acquire));
    delete sent;
  }
  Frame frame;
  std::atomic<bool> handed_over{false};
};

void init_message(zmq_msg_t* message, const Frame& frame) {
  if (frame.size() < kCopyBelow) {
    STRAND_CHECK(zmq_msg_init_size(message, frame.size()) == 0, "out of memory");
    if (frame.size() > 0) std::memcpy(zmq_msg_data(message), frame.data(), frame.size());
    return;
  }
  const int rc =
      zmq_msg_init_data(message, const_cast<char*>(frame.data()), frame.size(), &SentFrame::free, new SentFrame(frame));
  STRAND_CHECK(rc == 0, "out of memory");
}

Error bind_error(const std::string& endpoint, int number) {
  const char* reason = zmq_strerror(number);
  if (number == EADDRINUSE) {
    return Error(ErrorCode::kConflict, concat("cannot listen on ", endpoint,
                                              ": another program has this port: stop it, or choose another port "
                                              "(0 takes any free one)"));
  }
  return bad_input(concat("cannot listen on ", endpoint, ": ", reason,
                          ": expected an address of this machine and a port above 1023"));
}

// An ipc path is ours when we hold its lock: a socket file left by a dead process is replaced, a live one never.
Result<std::unique_ptr<FileLock>> own_ipc_path(const Endpoint& endpoint) {
  struct stat status {};
  if (::lstat(endpoint.path.c_str(), &status) == 0 && !S_ISSOCK(status.st_mode)) {
    return bad_input(concat("cannot listen on ", endpoint.text(), ": ", endpoint.path,
                            " exists and is not a socket: choose another path"));
  }
  auto lock = lock_file(endpoint.path + ".lock");
  if (!lock.ok()) return lock.error().with_context(concat("cannot listen on ", endpoint.text()));
  return lock;
}

class ZmqTransport final : public Transport {
 public:
  ZmqTransport(std::optional<CurveKeys> keys, int64_t max_frame)
      : keys_(std::move(keys)),
        max_frame_(max_frame),
        context_(zmq_ctx_new()),
        wake_(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
    STRAND_CHECK(context_ != nullptr, "no memory for a ZeroMQ context");
    STRAND_CHECK(wake_ >= 0, "no file descriptor is left");
  }

  ~ZmqTransport() override {
    for (auto& [id, socket] : sockets_) {
      release_path(socket);
      socket.monitor.reset();
      zmq_close(socket.handle);
    }
    while (zmq_ctx_term(context_) != 0 && zmq_errno() == EINTR) {
    }
    zap_.reset();  // its thread ends with the context; ipc locks go last, with sockets_
    ::close(wake_);
  }

  Result<SocketId> bind(const std::string& text) override {
    STRAND_ASSIGN(Socket socket, open_socket(text, ZMQ_ROUTER));
    socket.bound = true;
    const bool ipc = socket.endpoint.kind == Endpoint::Kind::kIpc;
    Status ready = prepare_bind(&socket);
    const std::string endpoint = socket.endpoint.text();
    if (ready.ok() && zmq_bind(socket.handle, endpoint.c_str()) != 0) ready = bind_error(endpoint, zmq_errno());
    if (!ready.ok()) {
      zmq_close(socket.handle);
      return ready.error();
    }
    if (ipc) ::chmod(socket.endpoint.path.c_str(), 0600);
    return keep(std::move(socket));
  }

  Result<SocketId> connect(const std::string& text, const std::string& routing_id) override {
    if (routing_id.empty() || routing_id.size() > 255 || routing_id[0] == '\0') {
      return bad_input("a routing id has 1 to 255 bytes and does not start with a zero byte");
    }
    STRAND_ASSIGN(Socket socket, open_socket(text, ZMQ_DEALER));
    set_text(socket.handle, ZMQ_ROUTING_ID, routing_id);
    Status ready = prepare_connect(&socket);
    const std::string endpoint = socket.endpoint.text();
    if (ready.ok() && socket.endpoint.kind == Endpoint::Kind::kTcp) {
      const std::string own_key = keys_ ? keys_->public_key : std::string();
      socket.monitor = std::make_unique<ZmqMonitor>(context_, socket.handle, endpoint, own_key);
    }
    if (ready.ok() && zmq_connect(socket.handle, endpoint.c_str()) != 0) {
      ready = bad_input(concat("cannot connect to ", endpoint, ": ", zmq_strerror(zmq_errno())));
    }
    if (!ready.ok()) {
      socket.monitor.reset();
      zmq_close(socket.handle);
      return ready.error();
    }
    return keep(std::move(socket));
  }

  std::string endpoint_of(SocketId id) override {
    char text[1024] = {};
    size_t bytes = sizeof text;
    zmq_getsockopt(find(id).handle, ZMQ_LAST_ENDPOINT, text, &bytes);
    return text;
  }

  void close(SocketId id) override {
    Socket& socket = find(id);
    release_path(socket);
    socket.monitor.reset();
    zmq_close(socket.handle);
    sockets_.erase(id);
  }

  std::optional<Error> refusal(SocketId id) override {
    Socket& socket = find(id);
    return socket.monitor ? socket.monitor->refusal() : std::nullopt;
  }

  uint64_t turned_away() override { return zap_ ? zap_->turned_away() : 0; }

  Status send(SocketId id, const std::string& peer, std::vector<Frame> frames) override {
    Socket& socket = find(id);
    STRAND_CHECK(socket.bound == !peer.empty(), "a peer is named on bound sockets and only there");
    STRAND_CHECK(!frames.empty() && frames.size() <= kMaxFrames, "a message has 1 to ", kMaxFrames, " frames");
    for (const Frame& frame : frames) {
      if (static_cast<int64_t>(frame.size()) > max_frame_) {
        return bad_input(concat("message too long: a frame of ", frame.size(), " bytes, the limit is ", max_frame_));
      }
    }
    if (socket.bound && zmq_send(socket.handle, peer.data(), peer.size(), ZMQ_SNDMORE | ZMQ_DONTWAIT) < 0) {
      return not_sent(socket, zmq_errno());
    }
    // Once a first part is taken the others must follow, whatever they return, or they would begin the next message.
    Status result;
    for (size_t i = 0; i < frames.size(); ++i) {
      zmq_msg_t message;
      init_message(&message, frames[i]);
      const int more = i + 1 < frames.size() ? ZMQ_SNDMORE : 0;
      if (zmq_msg_send(&message, socket.handle, ZMQ_DONTWAIT | more) >= 0) continue;
      if (result.ok()) result = not_sent(socket, zmq_errno());
      zmq_msg_close(&message);
      if (i == 0 && !socket.bound) break;
    }
    return result;
  }

  Result<std::optional<Incoming>> receive(Duration wait) override {
    STRAND_ASSIGN(std::vector<SocketId> ready, poll(wait));
    // Round robin: the first ready socket after the one served last.
    auto next = std::upper_bound(ready.begin(), ready.end(), last_served_);
    for (size_t i = 0; i < ready.size(); ++i) {
      if (next == ready.end()) next = ready.begin();
      last_served_ = *next++;
      if (auto message = read_message(last_served_)) return message;
    }
    return std::optional<Incoming>();
  }

  // The counter of the descriptor stays above zero until poll() has seen it.
  void wake() override {
    const uint64_t one = 1;
    STRAND_CHECK(::write(wake_, &one, sizeof one) == sizeof one || errno == EAGAIN, "cannot wake a transport");
  }

 private:
  Result<Socket> open_socket(const std::string& text, int type) {
    Socket socket;
    STRAND_ASSIGN(socket.endpoint, parse_endpoint(text));
    socket.handle = zmq_socket(context_, type);
    if (socket.handle == nullptr) return unavailable(concat("cannot open a socket: ", zmq_strerror(zmq_errno())));
    set_int(socket.handle, ZMQ_SNDHWM, kQueueMessages);
    set_int(socket.handle, ZMQ_RCVHWM, kQueueMessages);
    set_int(socket.handle, ZMQ_LINGER, kLingerMs);
    set_int(socket.handle, ZMQ_HANDSHAKE_IVL, kHandshakeMs);
    zmq_setsockopt(socket.handle, ZMQ_MAXMSGSIZE, &max_frame_, sizeof max_frame_);
    if (socket.endpoint.kind == Endpoint::Kind::kTcp) {
      set_int(socket.handle, ZMQ_IPV6, socket.endpoint.host.find(':') != std::string::npos);
      set_int(socket.handle, ZMQ_HEARTBEAT_IVL, kHeartbeatMs);
      set_int(socket.handle, ZMQ_HEARTBEAT_TIMEOUT, kHeartbeatTimeoutMs);
      set_int(socket.handle, ZMQ_HEARTBEAT_TTL, kHeartbeatTimeoutMs);
    }
    return socket;
  }

  Status prepare_bind(Socket* socket) {
    set_int(socket->handle, ZMQ_ROUTER_MANDATORY, 1);
    // A routing id belongs to one process for ever, so a second connection under it is that process coming back after
    // its connection died on its side only. Without handover it would be unheard and unanswered for good
    // (half_open_test.cpp).
    set_int(socket->handle, ZMQ_ROUTER_HANDOVER, 1);
    if (socket->endpoint.kind == Endpoint::Kind::kIpc) {
      STRAND_ASSIGN(socket->lock, own_ipc_path(socket->endpoint));
      return {};
    }
    if (!keys_.has_value()) {
      if (socket->endpoint.loopback) return {};
      return bad_input(
          concat("refusing to listen on ", socket->endpoint.text(),
                 " without keys, since other machines can reach it: give --keys and --allow (\"strand keys "
                 "new\" makes keys, docs/security.md), or listen on tcp://127.0.0.1:PORT"));
    }
    STRAND_TRY(check_own_keys());
    if (zap_ == nullptr) zap_ = std::make_unique<ZapAllowList>(context_, keys_->allowed_clients);
    set_int(socket->handle, ZMQ_CURVE_SERVER, 1);
    set_text(socket->handle, ZMQ_CURVE_SECRETKEY, keys_->secret_key);
    set_text(socket->handle, ZMQ_ZAP_DOMAIN, "strand");
    return {};
  }

  Status prepare_connect(Socket* socket) {
    set_int(socket->handle, ZMQ_RECONNECT_IVL, kReconnectMs);
    set_int(socket->handle, ZMQ_RECONNECT_IVL_MAX, kReconnectMaxMs);
    set_int(socket->handle, ZMQ_CONNECT_TIMEOUT, kConnectMs);
    if (socket->endpoint.kind == Endpoint::Kind::kIpc) return {};
    if (socket->endpoint.port == 0) return bad_input(concat(socket->endpoint.text(), ": cannot connect to port 0"));
    if (!keys_.has_value()) {
      if (socket->endpoint.loopback) return {};
      return bad_input(
          concat("refusing to connect to ", socket->endpoint.text(),
                 " without keys, since it is another machine: give --keys and --allow (\"strand keys new\" makes "
                 "keys, docs/security.md)"));
    }
    STRAND_TRY(check_own_keys());
    STRAND_ASSIGN(const std::string server_key, server_key_of(socket->endpoint));
    set_text(socket->handle, ZMQ_CURVE_SERVERKEY, server_key);
    set_text(socket->handle, ZMQ_CURVE_PUBLICKEY, keys_->public_key);
    set_text(socket->handle, ZMQ_CURVE_SECRETKEY, keys_->secret_key);
    return {};
  }

  Status check_own_keys() const {
    STRAND_ASSIGN(const std::string public_key, curve_public_key(keys_->secret_key));
    if (public_key != keys_->public_key) return bad_input("the public key does not belong to the secret key");
    return {};
  }

  Result<std::string> server_key_of(const Endpoint& endpoint) const {
    const std::string address = endpoint.text().substr(std::strlen("tcp://"));
    std::string key = keys_->server_public_key;
    for (const std::string& name : {endpoint.host, address}) {  // the more exact name last
      const auto found = keys_->servers.find(name);
      if (found != keys_->servers.end()) key = found->second;
    }
    if (is_curve_key(key)) return key;
    return bad_input(concat("no public key is known for ", endpoint.text(), ": write ", endpoint.host,
                            " behind its key in the file of --allow (docs/security.md)"));
  }

  // The library leaves the socket file behind. Removed while we still hold its lock.
  static void release_path(const Socket& socket) {
    if (socket.lock == nullptr) return;
    zmq_unbind(socket.handle, socket.endpoint.text().c_str());
    ::unlink(socket.endpoint.path.c_str());
  }

  SocketId keep(Socket socket) {
    sockets_[++last_socket_] = std::move(socket);
    return last_socket_;
  }

  Socket& find(SocketId id) {
    auto it = sockets_.find(id);
    STRAND_CHECK(it != sockets_.end(), "no socket ", id);
    return it->second;
  }

  static Error not_sent(const Socket& socket, int number) {
    const std::string where = socket.endpoint.text();
    if (number == EHOSTUNREACH) return unavailable(concat(where, ": the peer is not connected"));
    if (number == EAGAIN)
      return unavailable(concat(where, ": the peer's queue of ", kQueueMessages, " messages is full"));
    return unavailable(concat(where, ": ", zmq_strerror(number)));
  }

  // Sockets with something to read, in order; none when `wait` ends, wake() is called or a signal arrives.
  Result<std::vector<SocketId>> poll(Duration wait) {
    std::vector<zmq_pollitem_t> items;
    std::vector<SocketId> ids, ready;
    for (auto& [id, socket] : sockets_) {
      items.push_back({socket.handle, 0, ZMQ_POLLIN, 0});
      ids.push_back(id);
    }
    items.push_back({nullptr, wake_, ZMQ_POLLIN, 0});
    const auto milliseconds = std::chrono::ceil<std::chrono::milliseconds>(std::max(wait, Duration::zero()));
    const int rc = zmq_poll(items.data(), static_cast<int>(items.size()), milliseconds.count());
    if (rc < 0 && zmq_errno() != EINTR) return internal_error(concat("zmq_poll: ", zmq_strerror(zmq_errno())));
    uint64_t wakes = 0;
    if (rc > 0 && items.back().revents != 0 && ::read(wake_, &wakes, sizeof wakes) < 0) wakes = 0;
    for (size_t i = 0; rc > 0 && i < ids.size(); ++i) {
      if ((items[i].revents & ZMQ_POLLIN) != 0) ready.push_back(ids[i]);
    }
    return ready;
  }

  // Nothing when the message vanished with its connection, or was dropped for having no or too many frames.
  std::optional<Incoming> read_message(SocketId id) {
    const Socket& socket = find(id);
    Incoming incoming;
    incoming.socket = id;
    bool more = true;
    for (size_t part = 0; more; ++part) {
      zmq_msg_t message;
      zmq_msg_init(&message);
      if (zmq_msg_recv(&message, socket.handle, ZMQ_DONTWAIT) < 0) {
        zmq_msg_close(&message);
        return std::nullopt;
      }
      more = zmq_msg_more(&message) != 0;
      if (socket.bound && part == 0) {
        incoming.peer.assign(static_cast<const char*>(zmq_msg_data(&message)), zmq_msg_size(&message));
      } else if (incoming.frames.size() <= kMaxFrames) {
        incoming.frames.push_back(frame_of(&message, !incoming.frames.empty()));
      }
      zmq_msg_close(&message);
    }
    if (!incoming.frames.empty() && incoming.frames.size() <= kMaxFrames) return incoming;
    log_warning("message_dropped", {{"endpoint", socket.endpoint.text()}, {"frames", incoming.frames.size()}});
    return std::nullopt;
  }

  std::optional<CurveKeys> keys_;
  int64_t max_frame_;
  void* context_;
  int wake_;  // an eventfd
  std::map<SocketId, Socket> sockets_;
  SocketId last_socket_ = 0, last_served_ = 0;
  std::unique_ptr<ZapAllowList> zap_;
};

}  // namespace

std::unique_ptr<Transport> make_zmq_transport(std::optional<CurveKeys> keys, int64_t max_frame) {
  return std::make_unique<ZmqTransport>(std::move(keys), max_frame);
}

}  // namespace strand
