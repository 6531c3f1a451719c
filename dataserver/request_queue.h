// Which waiting request for rows is answered next: pure, time is an argument. Each client's come in the order in which
// it asked; of the clients the one that has had the least, so that none waits for another's many or large batches.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <string>

#include "dataserver/stream.h"
#include "shared/base/clock.h"

namespace strand {

class RequestQueue {
 public:
  // Of one client; its credits should be far fewer. What comes beyond them is not taken.
  static constexpr size_t kMostWaiting = 1024;
  // A request that was not repeated for so long is not wanted any more: a worker repeats its own every two seconds.
  static constexpr Duration kDeadline = std::chrono::seconds(10);
  // A client that said nothing for so long is forgotten.
  static constexpr Duration kRemembered = std::chrono::seconds(60);

  struct Waiting {
    ServeRows request;
    Time since;  // first asked
    Time asked;  // last asked
  };

  // False when the client has too many waiting. A request that waits already waits on in its place.
  bool add(const ServeRows& request, Time now);
  // The next one of a client that may have an answer now; nothing when there is none.
  std::optional<Waiting> next(const std::function<bool(const std::string& client)>& may_have);
  // The answer to a client's request took so much work (bytes).
  void charge(const std::string& client, uint64_t cost);
  // Drops what nobody wants any more, and forgets who is long silent; the number of requests dropped.
  size_t forget(Time now);

  size_t waiting() const { return waiting_; }
  size_t clients() const { return clients_.size(); }

 private:
  struct Client {
    std::deque<Waiting> waiting;
    uint64_t had = 0;  // on a clock that all clients share: see add()
    Time heard;
  };
  std::map<std::string, Client> clients_;
  uint64_t clock_ = 0;  // what the client served last had had before
  size_t waiting_ = 0;
};

}  // namespace strand
