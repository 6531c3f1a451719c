// The network seam: framed messages between processes, at most once, in order per connection. Two implementations:
// ZeroMQ (zmq_transport.cpp) and the simulated one of the tests. A Transport belongs to one thread.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "shared/base/clock.h"
#include "shared/base/result.h"

namespace strand {

// One socket of this transport, numbered from 1 in order of bind and connect.
using SocketId = int;

// A frame of bytes. Bulk frames are received without a copy (they keep the library's buffer alive) and start 64-byte
// aligned or are copied once to be.
class Frame {
 public:
  Frame() = default;
  static Frame copy_of(const void* data, size_t bytes);
  static Frame from_string(std::string bytes);
  // The bytes stay owned by `owner` until the transport has sent them: no copy.
  static Frame view_of(const void* data, size_t bytes, std::shared_ptr<const void> owner);

  const char* data() const { return data_; }
  size_t size() const { return size_; }

 private:
  const char* data_ = nullptr;
  size_t size_ = 0;
  std::shared_ptr<const void> owner_;
};

struct Incoming {
  SocketId socket = 0;
  std::string peer;           // routing id of the sender on a bound socket; empty on a connected one
  std::vector<Frame> frames;  // frame 0 is the encoded message, the rest bulk
};

class Transport {
 public:
  virtual ~Transport() = default;
  // Listens: "ipc:///path" or "tcp://host:port" (port 0 = any free; see endpoint_of). kConflict for a port in use, with
  // the mend; kBadInput for a non-loopback address without keys.
  virtual Result<SocketId> bind(const std::string& endpoint) = 0;
  // Connects (and reconnects by itself). `routing_id` is unique for ever: worker id and incarnation.
  virtual Result<SocketId> connect(const std::string& endpoint, const std::string& routing_id) = 0;
  // The resolved endpoint of a bound socket.
  virtual std::string endpoint_of(SocketId socket) = 0;
  virtual void close(SocketId socket) = 0;
  // Never blocks. kUnavailable when the peer is unknown or its queue is full: the caller keeps the message and retries.
  // On a connected socket `peer` is empty.
  virtual Status send(SocketId socket, const std::string& peer, std::vector<Frame> frames) = 0;
  // Why the listener behind a connected socket does not let us in (kBadInput, with the mend); nothing as long as it has
  // not said so. Connecting goes on by itself.
  virtual std::optional<Error> refusal(SocketId) { return std::nullopt; }
  // How often the bound sockets have turned somebody away whose key is not listed.
  virtual uint64_t turned_away() { return 0; }
  // The next message of any socket, or nothing after `wait`.
  virtual Result<std::optional<Incoming>> receive(Duration wait) = 0;
  // From any thread: a receive that waits returns at once; if none waits, the next one does not.
  virtual void wake() = 0;
};

struct CurveKeys {  // Z85 text, 40 characters each; see shared/security
  std::string public_key, secret_key;
  std::string server_public_key;               // for connecting, where `servers` names none
  std::vector<std::string> allowed_clients;    // for binding
  std::map<std::string, std::string> servers;  // for connecting: the key of "host:port" or else of "host"
};
// Of one frame, unless a transport is made for more.
inline constexpr int64_t kMaxTransportFrame = int64_t{64} << 20;  // as in the codec
// keys empty: plain, only ipc and loopback may be bound. A message with a frame above `max_frame` bytes is not sent
// (kBadInput), and a peer that sends one is cut off.
std::unique_ptr<Transport> make_zmq_transport(std::optional<CurveKeys> keys = std::nullopt,
                                              int64_t max_frame = kMaxTransportFrame);

}  // namespace strand
