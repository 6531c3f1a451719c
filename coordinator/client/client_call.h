// A client's request to the coordinator as a pure function of (event, now): said again with the same number until its
// answer comes or the time is up. No socket or clock in here: client.h has them, tests/sim others.
#pragma once

#include <optional>
#include <string>

#include "shared/base/clock.h"
#include "shared/base/result.h"
#include "shared/formats/json.h"
#include "shared/net/request_tracker.h"
#include "shared/wire/messages.h"

namespace strand {

class ClientCall {
 public:
  // `timeout`: of one request.
  explicit ClientCall(Duration timeout);

  // What to send now; `arguments` is JSON. One at a time: one that still waits is given up.
  const WireMessage& begin(const std::string& command, std::string arguments, Time now);
  bool waiting() const { return tracker_.waiting() > 0; }
  // The answer, when this is it: its JSON, or the coordinator's refusal as the error it is.
  std::optional<Result<Json>> on_message(const WireMessage& message);

  struct Due {
    bool again = false, expired = false;  // send request() once more; nobody has answered in time
  };
  Due poll(Time now);
  // When poll() next has something to say; `never` when nothing waits.
  Time next_event(Time never) const { return tracker_.next_event(never); }
  const WireMessage& request() const { return request_; }

 private:
  RequestTracker tracker_;
  WireMessage request_;
};

}  // namespace strand
