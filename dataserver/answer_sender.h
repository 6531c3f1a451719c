// Answers on their way: held while the transport has no room for them, and counted until they have left, so that a
// client that does not read costs no more than a bound, and nobody else's time.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "shared/base/clock.h"
#include "shared/net/transport.h"

namespace strand {

class AnswerSender {
 public:
  // A client has no further rows made for it while so many bytes of its answers have not left this process: so much,
  // and one answer, is what it can hold.
  static constexpr int64_t kMostUnsent = int64_t{16} << 20;
  // What the transport does not take for so long is dropped; the client asks again.
  static constexpr Duration kHeldFor = std::chrono::seconds(10);

  // The transport must outlive this.
  AnswerSender(Transport* transport, SocketId socket) : transport_(transport), socket_(socket) {}

  bool may_have(const std::string& client) const;
  // Answers to one client arrive in order. False when this one waits for room.
  bool send(const std::string& client, std::vector<Frame> frames, Time now);
  struct Retried {
    size_t sent = 0, dropped = 0;
  };
  // Sends what was held.
  Retried retry(Time now);
  size_t held() const { return held_count_; }
  // Whether somebody waits for room.
  bool waits() const;

 private:
  struct Held {
    std::vector<Frame> frames;
    Time since;
  };
  struct Client {
    std::deque<Held> held;
    std::shared_ptr<std::atomic<int64_t>> unsent = std::make_shared<std::atomic<int64_t>>(0);  // bytes of bulk frames
  };
  bool pass_on(const std::string& client, const std::vector<Frame>& frames);

  Transport* transport_;
  SocketId socket_;
  std::map<std::string, Client> clients_;  // those with something unsent
  size_t held_count_ = 0;
};

}  // namespace strand
