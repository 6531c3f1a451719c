// The coordinator process: real clock, network and disk around the pure core.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "shared/base/clock.h"
#include "shared/base/result.h"
#include "shared/net/transport.h"

namespace strand {

struct CoordinatorOptions {
  std::string endpoint;                     // "ipc:///path" or "tcp://host:port", port 0 = any free
  std::string directory;                    // --dir; made when absent. Holds journal/ and coordinator.json
  std::vector<std::string> data_endpoints;  // handed to workers
  std::string http;                         // "127.0.0.1:8080", port 0 = any free; empty: none
  Duration lease = std::chrono::seconds(4);
  std::function<std::unique_ptr<Transport>()> make_transport;  // empty: ZeroMQ without keys
  const std::atomic<bool>* stop = nullptr;  // set by a signal: leave at once; workers train on and are found again
  // Called once, when clients and workers may come. `http` is empty when off.
  std::function<void(const std::string& endpoint, const std::string& http)> ready;
};

// Returns when told to stop or after `shutdown`. Errors: kConflict (second coordinator on this journal, endpoint or
// HTTP port in use), kBadInput (a newer journal, no address), kCorrupt (journal), kUnavailable (disk).
// While running, <directory>/coordinator.json says {"endpoint","http","pid"}; see client/client.h find_coordinator.
Status run_coordinator(const CoordinatorOptions& options);

}  // namespace strand
