// Requests to the coordinator: one answer each, repeated until it comes or the deadline passes.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "coordinator/client/client_call.h"
#include "shared/base/clock.h"
#include "shared/base/result.h"
#include "shared/formats/json.h"
#include "shared/fs/file_system.h"
#include "shared/net/transport.h"

namespace strand {

struct ClientOptions {
  std::string endpoint;                                        // of the coordinator
  Duration timeout = std::chrono::seconds(10);                 // of one request
  std::function<std::unique_ptr<Transport>()> make_transport;  // empty: ZeroMQ without keys
};

class CoordinatorClient {
 public:
  static Result<std::unique_ptr<CoordinatorClient>> connect(const ClientOptions& options);

  // The answer's JSON (schemas/README.md). The coordinator's refusal is returned as the error it is; kUnavailable,
  // with the mend, when nobody answers in time. A repeated request does nothing twice.
  Result<Json> request(const std::string& command, const Json& arguments);

 private:
  CoordinatorClient(const ClientOptions& options, std::unique_ptr<Transport> transport, SocketId socket);
  Status send(const WireMessage& message);

  ClientOptions options_;
  SystemClock clock_;
  std::unique_ptr<Transport> transport_;
  SocketId socket_;
  ClientCall call_;
};

// The endpoint of the coordinator that runs in `directory` (its coordinator.json). kNotFound, with the mend, when none
// does.
Result<std::string> find_coordinator(FileSystem& fs, const std::string& directory);

// Random text, to make a repeated submit one job.
std::string submission_token();

}  // namespace strand
