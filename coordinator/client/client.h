// The other end of the coordinator's line: one command, one answer, whatever is lost or restarted in between.
#pragma once

#include <memory>
#include <string>

#include "shared/base/clock.h"
#include "shared/base/result.h"
#include "shared/formats/json.h"
#include "shared/net/request_tracker.h"
#include "shared/net/transport.h"

namespace strand {

class Client {
 public:
  // Connects by itself again when the coordinator restarts. Used from one thread.
  static Result<std::unique_ptr<Client>> connect(std::unique_ptr<Transport> transport, const std::string& endpoint);

  // Sends the command, again with the same number while nothing comes back, and waits for its answer at most `limit`:
  // then kUnavailable, saying that no coordinator answers there. A refusal has the coordinator's code and words.
  // coordinator/client_protocol.md lists commands, arguments and answers.
  Result<Json> call(const std::string& command, const Json& arguments, Duration limit);

  // Unique for this client and call: the "submission" of a submit, so that a repeated one is the same job.
  std::string fresh_token();

 private:
  Client(std::unique_ptr<Transport> transport, SocketId socket, std::string endpoint, std::string name);

  std::unique_ptr<Transport> transport_;
  SocketId socket_;
  std::string endpoint_;
  std::string name_;
  SystemClock clock_;
  RequestTracker tracker_;
  uint64_t tokens_ = 0;
};

}  // namespace strand
