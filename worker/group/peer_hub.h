// The way from one worker to the others of its group: a thread that owns the transport for the life of the process, and
// gives what arrives to one client, the job at hand.
//
// A worker listens on one endpoint, where all messages come in, and connects to the endpoint of each of the others for
// what it sends them. Order and loss are the transport's: in order and once per connection, nothing promised across a
// reconnect. Whoever needs an answer asks again.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "shared/base/clock.h"
#include "shared/base/ids.h"
#include "shared/base/result.h"
#include "shared/net/transport.h"
#include "shared/plan/group_member.h"
#include "shared/wire/shard_messages.h"

namespace strand {

// The largest bulk frame between workers: activations and gradients of a micro batch, weights and moments of a range.
// For make_zmq_transport.
inline constexpr int64_t kMaxPeerFrame = int64_t{4} << 30;

class PeerHub {
 public:
  // Called on the hub's thread only, and never by two threads at once.
  class Client {
   public:
    virtual ~Client() = default;
    // Decoded, with job and sender named; nothing else of the header is checked: job, generation and incarnation are
    // the client's to fence. `bulk` is empty when the message has none.
    virtual void on_message(const ShardMessage& message, Frame bulk) = 0;
    // After every batch of messages, after wake(), and at least every 10 ms.
    virtual void on_turn() = 0;
  };

  // Binds `endpoint` ("ipc:///path", "tcp://host:port", port 0 = any free one) and starts the thread. Errors as
  // Transport::bind.
  static Result<std::unique_ptr<PeerHub>> start(std::unique_ptr<Transport> transport, const std::string& endpoint,
                                                WorkerId self, Incarnation incarnation);
  // No client may be attached. What was sent and has not left yet may be lost.
  ~PeerHub();
  PeerHub(const PeerHub&) = delete;

  // Where the others reach this worker.
  const std::string& endpoint() const { return endpoint_; }

  // From any thread but the hub's. One client at a time; messages that come while there is none are dropped. detach()
  // returns when no call of the client is running and none will come.
  void attach(Client* client);
  void detach();
  // From any thread.
  void wake();
  // Messages that nobody got: damaged, without job or sender, with too many frames, or while there was no client.
  uint64_t dropped() const { return dropped_.load(); }

  // The rest inside a client's call only.

  // Connects to those that are new, or that came back as another process, and closes the connections to all who are not
  // named. This worker itself is skipped. A member that cannot be connected to is logged, and nobody for send().
  void set_peers(const std::vector<GroupMember>& members);
  // Never blocks. False: there is nobody of that id, or its queue is full; whoever needs it sent says it again. The
  // bulk is not copied; it must not be written to any more.
  bool send(WorkerId to, const ShardMessage& message, const Frame& bulk);

 private:
  struct Peer {
    Incarnation incarnation;
    std::string endpoint;
    SocketId socket = 0;
    bool refused = false;  // and said so in the log
  };

  PeerHub(std::unique_ptr<Transport> transport, SocketId listener, WorkerId self, Incarnation incarnation);
  void run();
  Client* enter();
  void leave();
  void take_batch(Client* client, Result<std::optional<Incoming>> next);
  void give(Client* client, const Incoming& incoming);
  void drop(const char* why);
  void look_for_refusals();

  std::unique_ptr<Transport> transport_;  // of the thread, once it runs; wake() of any
  SocketId listener_;
  WorkerId self_;
  Incarnation incarnation_;
  std::string endpoint_;
  std::map<WorkerId, Peer> peers_;  // of the thread
  uint64_t connections_ = 0;

  std::atomic<bool> stop_{false};
  std::atomic<uint64_t> dropped_{0};
  std::mutex mutex_;
  std::condition_variable left_;
  Client* client_ = nullptr;
  bool in_client_ = false;  // the thread is inside a client's call
  std::thread thread_;
};

}  // namespace strand
